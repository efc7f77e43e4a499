import { type SQL, type SQLWrapper, and, eq, getTableColumns, inArray, ne, notExists, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import { hasEmail } from '../../auth/accounts.ts'
import { addressNotice, passwordNotice } from '../../auth/notices.ts'
import { type VerificationConfig, verificationMail, verifies } from '../../auth/verification.ts'
import type { Database } from '../../db/connect.ts'
import { columnsIn } from '../../db/page.ts'
import { assigned, sent, value } from '../../db/statements.ts'
import { oneTimeTokens as tokens, sessions, users } from '../../db/tables.ts'

/**
 * The statements behind store.ts. Each changes everything that must change together: a new password and the sessions
 * and tokens that it ends are one statement, so there is no moment between them.
 */

const ofId = eq(users.id, value('id'))
const changesEmail = sql`(${sent(users.email)} and lower(${value('email')}) <> lower(${users.email}))`
const profile = {
  email: assigned(users.email),
  full_name: assigned(users.full_name),
  // Nobody has shown yet that a new address is theirs.
  is_verified: sql`${users.is_verified} and not ${changesEmail}`,
}

export function prepareUserStatements(db: Database, config: VerificationConfig) {
  return {
    get: db.select().from(users).where(ofId).prepare('user_get'),
    holder: db.select({ id: users.id }).from(users).where(hasEmail).prepare('user_holder'),
    isLast: prepareIsLast(db),
    updateOwn: prepareUpdateOwn(db, config),
    changePassword: prepareChangePassword(db, config),
    deleteOwn: db
      .delete(users)
      .where(and(ofId, sql`not ${users.is_superuser}`))
      .returning({ id: users.id })
      .prepare('user_delete_own'),
    update: prepareUpdate(db, config),
    delete: prepareDelete(db),
  }
}

function prepareUpdateOwn(db: Database, config: VerificationConfig) {
  // Locked, so that it is the address which this statement changes.
  const before = db.$with('before').as(db.select(addressed).from(users).where(ofId).for('no key update'))
  const account = db.$with('account').as(
    db
      .update(users)
      .set(profile)
      .from(before)
      .where(eq(users.id, before.id))
      .returning({ ...getTableColumns(users), old_email: before.old_email }),
  )
  return db
    .with(before, account, ...followAddress(db, account, config))
    .select()
    .from(account)
    .prepare('user_update_own')
}

/** A user's address before the statement. */
const addressed = { id: users.id, old_email: sql<string>`${users.email}`.as('old_email') }

type Changed = WithSubquery &
  Record<'id' | 'email' | 'old_email' | 'registered_from' | 'created_at', SQLWrapper>

/**
 * What a changed address brings with it: a link to the new one, a notice to the old one, and the end of the tokens that
 * were mailed there. The slot of a new token is left alone: it takes an old one's place by itself.
 */
function followAddress(db: Database, account: Changed, config: VerificationConfig, all: SQL = sql`false`) {
  const those = (name: string, from: Changed, condition: SQL | undefined) =>
    db.$with(name).as(db.select().from(from).where(condition)) as unknown as Changed
  const moved = those('moved', account, sql`lower(${account.email}) <> lower(${account.old_email})`)
  const toVerify = those('to_verify', moved, verifies(config) ? undefined : sql`false`)
  const { slot, parts } = verificationMail(db, toVerify, 'new_address', config)
  const isTaken = sql`(${tokens.purpose} = 'verify_email' and ${tokens.slot} in (select ${slot.number} from ${slot}))`
  const dead = db
    .$with('dead')
    .as(
      deleteTokens(
        db,
        sql`${account}`,
        sql`(${all} or lower(account.email) <> lower(${tokens.email})) and not ${isTaken}`,
      ),
    )
  return [moved, toVerify, ...parts, dead, addressNotice(db, moved, config)]
}

/** Tokens of the user in `account` for which `condition` holds. */
const deleteTokens = (db: Database, account: SQL, condition: SQL) =>
  db
    .delete(tokens)
    .where(sql`exists (select from ${account} account where account.id = ${tokens.user_id} and ${condition})`)
    .returning({ id: tokens.id })

function prepareChangePassword(db: Database, config: VerificationConfig) {
  const account = db.$with('account').as(
    db
      .update(users)
      .set({
        hashed_password: sql`${value('hashed_password')}`,
        credentials_version: sql`${users.credentials_version} + 1`,
      })
      .where(and(ofId, eq(users.hashed_password, value('verified'))))
      .returning({ id: users.id, email: users.email, credentials_version: users.credentials_version }),
  )
  const ids = db.select({ id: account.id }).from(account)
  const kept = db.$with('kept').as(
    db
      .update(sessions)
      .set({ credentials_version: sql`${account.credentials_version}` })
      .from(account)
      .where(and(eq(sessions.id, value('session_id')), eq(sessions.user_id, account.id)))
      .returning({ id: sessions.id }),
  )
  const ended = db.$with('ended').as(
    db
      .delete(sessions)
      .where(and(inArray(sessions.user_id, ids), ne(sessions.id, value('session_id'))))
      .returning({ id: sessions.id }),
  )
  const dead = db.$with('dead').as(deleteTokens(db, sql`${account}`, sql`true`))
  const notice = passwordNotice(db, account, config)
  return db
    .with(account, kept, ended, dead, notice)
    .select({ id: account.id })
    .from(account)
    .prepare('user_change_password')
}

/**
 * The active superusers, locked in the order of their ids, so that two statements that would remove the last two of
 * them wait for each other, and the second sees what the first did.
 */
const lockedSuperusers = (db: Database) =>
  db
    .$with('superusers')
    .as(
      db
        .select({ id: users.id })
        .from(users)
        .where(and(users.is_superuser, users.is_active))
        .orderBy(users.id)
        .for('update'),
    )

/**
 * Counting reads, and so locks, all of them; `exists` would stop at the first. Bound to the row in question: by its
 * value alone PostgreSQL would count before it looks whether the row is a superuser's, and lock them all for nothing.
 */
const othersRemain = (superusers: ReturnType<typeof lockedSuperusers>) =>
  sql`(select count(*) from ${superusers} where ${superusers.id} <> ${users.id}) > 0`

function prepareUpdate(db: Database, config: VerificationConfig) {
  const superusers = lockedSuperusers(db)
  const deactivates = sql`(${sent(users.is_active)} and not ${value('is_active')}::boolean and ${users.is_active})`
  const demotes = sql`(${sent(users.is_superuser)} and not ${value('is_superuser')}::boolean and ${users.is_superuser})`
  const removesSuperuser = sql`(${users.is_superuser} and ${users.is_active} and (${deactivates} or ${demotes}))`
  const endsSessions = sql`(${sent(users.hashed_password)} or ${deactivates} or ${demotes})`

  // Not locked, as superusers have to be locked in the order of their ids: of two changes of address at the same
  // moment, the second may tell the address before both.
  const before = db.$with('before').as(db.select(addressed).from(users).where(ofId))
  const account = db.$with('account').as(
    db
      .update(users)
      .set({
        ...profile,
        hashed_password: assigned(users.hashed_password),
        is_active: assigned(users.is_active),
        is_superuser: assigned(users.is_superuser),
        credentials_version: sql`${users.credentials_version} + ${endsSessions}::integer`,
      })
      .from(before)
      .where(
        and(ofId, eq(users.id, before.id), sql`(not ${removesSuperuser} or ${othersRemain(superusers)})`),
      )
      .returning({ ...getTableColumns(users), old_email: before.old_email }),
  )
  const ended = db.$with('ended').as(
    db
      .delete(sessions)
      .where(
        sql`exists (
          select from ${account}
          where ${account.id} = ${sessions.user_id}
            and ${account.credentials_version} <> ${sessions.credentials_version}
        )`,
      )
      .returning({ id: sessions.id }),
  )
  const told = db
    .$with('told')
    .as(db.select({ id: account.id, email: account.email }).from(account).where(sent(users.hashed_password)))
  const notice = passwordNotice(db, told, config)
  return db
    .with(
      superusers,
      before,
      account,
      ended,
      told,
      notice,
      ...followAddress(db, account, config, sent(users.hashed_password)),
    )
    .select({ id: users.id, user: columnsIn(users, account) })
    .from(users)
    .leftJoin(account, sql`true`)
    .where(ofId)
    .prepare('user_update')
}

/** The user, where they are the last active superuser. */
function prepareIsLast(db: Database) {
  const others = db
    .select({ id: users.id })
    .from(users)
    .where(and(users.is_superuser, users.is_active, ne(users.id, value('id'))))
  return db
    .select({ id: users.id })
    .from(users)
    .where(and(ofId, users.is_superuser, users.is_active, notExists(others)))
    .prepare('user_is_last')
}

function prepareDelete(db: Database) {
  const superusers = lockedSuperusers(db)
  const isNoActiveSuperuser = sql`not (${users.is_superuser} and ${users.is_active})`
  const deleted = db.$with('deleted').as(
    db
      .delete(users)
      .where(and(ofId, sql`(${isNoActiveSuperuser} or ${othersRemain(superusers)})`))
      .returning({ id: users.id }),
  )
  return db
    .with(superusers, deleted)
    .select({ id: users.id, deleted: sql<string | null>`${deleted.id}` })
    .from(users)
    .leftJoin(deleted, sql`true`)
    .where(ofId)
    .prepare('user_delete')
}
