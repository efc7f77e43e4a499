import {
  type SQL,
  type SQLWrapper,
  and,
  eq,
  getTableColumns,
  inArray,
  isNull,
  ne,
  notExists,
  sql,
} from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import { hasEmail, welcomeMail } from '../accounts.ts'
import { notice } from '../notices.ts'
import { type VerificationConfig, verificationMail, verifies } from '../verification.ts'
import type { Database } from '../../database/connect.ts'
import { boundedLink } from '../../mail/bounds.ts'
import { endSessions, keepSession } from '../ended-sessions.ts'
import { columnsIn } from '../../ownership/page-statement.ts'
import { assigned, fieldValue, sent, value } from '../../database/statements.ts'
import { oneTimeTokens as tokens, sessions, users } from '../../database/tables.ts'

/**
 * The statements behind store.ts. Each changes everything that must change together: a new password and the sessions
 * and tokens that it ends are one statement, so there is no moment between them.
 */

/** Whoever was deleted is nobody any more, although the row stays for as long as there is something to remove. */
const ofId = and(eq(users.id, value('id')), isNull(users.deleted_at))
const changesEmail = sql`(${sent('email')} and lower(${fieldValue('email')}) <> lower(${users.email}))`
const profile = {
  email: assigned(users.email),
  full_name: assigned(users.full_name),
  // Nobody has shown yet that a new address is theirs.
  is_verified: sql`${users.is_verified} and not ${changesEmail}`,
  // Of the old address.
  claimed_password_hash: sql`case when not ${changesEmail} then ${users.claimed_password_hash} end`,
}

export function prepareUserStatements(db: Database, config: VerificationConfig) {
  return {
    get: db.select().from(users).where(ofId).prepare('user_get'),
    holder: db.select({ id: users.id }).from(users).where(hasEmail).prepare('user_holder'),
    isLast: prepareIsLast(db),
    updateOwn: prepareUpdateOwn(db, config),
    changePassword: prepareChangePassword(db, config),
    deleteOwn: db
      .update(users)
      .set(deletion)
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
      .returning({
        ...getTableColumns(users),
        old_email: before.old_email,
        was_verified: before.was_verified,
      }),
  )
  return db
    .with(before, account, ...followAddress(db, account, config))
    .select()
    .from(account)
    .prepare('user_update_own')
}

/** A user's address before the statement. */
const addressed = {
  id: users.id,
  old_email: sql<string>`${users.email}`.as('old_email'),
  was_verified: sql<boolean>`${users.is_verified}`.as('was_verified'),
  // Whoever was active once has a later version, as deactivation ends sessions.
  was_never_active: sql<boolean>`(not ${users.is_active} and ${users.credentials_version} = 0)`.as(
    'was_never_active',
  ),
}

type Changed = WithSubquery &
  Record<
    'id' | 'email' | 'is_verified' | 'old_email' | 'was_verified' | 'registered_from' | 'created_at',
    SQLWrapper
  >

/**
 * What a changed address brings with it: a link to the new one, a notice to the old one, and the end of the tokens that
 * were mailed there. The slot of a new token is left alone: it takes an old one's place by itself.
 */
function followAddress(db: Database, account: Changed, config: VerificationConfig, all: SQL = sql`false`) {
  const those = (name: string, from: Changed, condition: SQL | undefined) =>
    db.$with(name).as(db.select().from(from).where(condition)) as unknown as Changed
  const moved = those('moved', account, sql`lower(${account.email}) <> lower(${account.old_email})`)
  const toVerify = those('to_verify', moved, verifies(config) ? undefined : sql`false`)
  const { parts: bounds, allowed } = boundedLink(db, toVerify, 'new_address', config)
  const { slot, parts } = verificationMail(db, allowed, 'new_address', config)
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
  const old = { id: moved.id, email: moved.old_email, is_verified: moved.was_verified }
  return [moved, toVerify, ...bounds, ...parts, dead, ...notice(db, moved, 'address_changed', old, config)]
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
      .returning({
        id: users.id,
        email: users.email,
        is_verified: users.is_verified,
        credentials_version: users.credentials_version,
      }),
  )
  const ids = db.select({ id: account.id }).from(account)
  const kept = db.$with('kept').as(keepSession(db, account, value('session_id')))
  const ended = db
    .$with('ended')
    .as(endSessions(db, and(inArray(sessions.user_id, ids), ne(sessions.id, value('session_id')))))
  const dead = db.$with('dead').as(deleteTokens(db, sql`${account}`, sql`true`))
  return db
    .with(account, kept, ended, dead, ...notice(db, account, 'password_changed', account, config))
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
  const deactivates = sql`(${sent('is_active')} and not ${fieldValue('is_active')}::boolean and ${users.is_active})`
  const demotes = sql`(${sent('is_superuser')} and not ${fieldValue('is_superuser')}::boolean and ${users.is_superuser})`
  const removesSuperuser = sql`(${users.is_superuser} and ${users.is_active} and (${deactivates} or ${demotes}))`
  const endsSessions = sql`(${sent('hashed_password')} or ${deactivates} or ${demotes})`

  // Not locked, as superusers have to be locked in the order of their ids: of two changes of address at the same
  // moment, the second may tell the address before both.
  const before = db.$with('before').as(
    db
      .select({
        ...addressed,
        old_full_name: sql`${users.full_name}`.as('old_full_name'),
        old_is_active: sql`${users.is_active}`.as('old_is_active'),
        old_is_superuser: sql`${users.is_superuser}`.as('old_is_superuser'),
      })
      .from(users)
      .where(ofId),
  )
  /** Names alone, for the log. */
  const changed = sql<string>`concat_ws(',',
    case when ${before.old_email} <> ${users.email} then 'email' end,
    case when ${before.old_full_name} is distinct from ${users.full_name} then 'full_name' end,
    case when ${before.old_is_active} <> ${users.is_active} then 'is_active' end,
    case when ${before.old_is_superuser} <> ${users.is_superuser} then 'is_superuser' end,
    case when ${sent('hashed_password')} then 'password' end)`.as('changed')
  const account = db.$with('account').as(
    db
      .update(users)
      .set({
        ...profile,
        hashed_password: assigned(users.hashed_password),
        claimed_password_hash: sql`case when not ${sent('hashed_password')} then ${profile.claimed_password_hash} end`,
        is_active: assigned(users.is_active),
        is_superuser: assigned(users.is_superuser),
        credentials_version: sql`${users.credentials_version} + ${endsSessions}::integer`,
      })
      .from(before)
      .where(
        and(ofId, eq(users.id, before.id), sql`(not ${removesSuperuser} or ${othersRemain(superusers)})`),
      )
      .returning({
        ...getTableColumns(users),
        old_email: before.old_email,
        was_verified: before.was_verified,
        changed,
        was_never_active: before.was_never_active,
      }),
  )
  const ended = db.$with('ended').as(
    endSessions(
      db,
      sql`${sessions.user_id} in (select ${account.id} from ${account})
        and ${sessions.credentials_version} <> (select ${account.credentials_version} from ${account})`,
    ),
  )
  const told = db
    .$with('told')
    .as(
      db
        .select({ id: account.id, email: account.email, is_verified: account.is_verified })
        .from(account)
        .where(sent('hashed_password')),
    )
  // Made by a superuser, inactive: their welcome waited. Other links, to another address or about a new password, tell as much.
  const activated = db.$with('activated').as(
    db
      .select({ id: account.id, email: account.email })
      .from(account)
      .where(
        sql`${account.was_never_active} and ${account.is_active} and not ${sent('hashed_password')}
          and lower(${account.email}) = lower(${account.old_email}) and ${config.mail === 'off' ? sql`false` : sql`true`}`,
      ),
  )
  return db
    .with(
      superusers,
      before,
      account,
      ended,
      told,
      ...notice(db, told, 'password_changed', told, config),
      activated,
      ...welcomeMail(db, activated, config),
      ...followAddress(db, account, config, sent('hashed_password')),
    )
    .select({
      id: users.id,
      user: columnsIn(users, account),
      changed: sql<string | null>`${account.changed}`,
    })
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

/**
 * What a deletion does at once, however much the user has: nobody signs in or is signed in as them, their address is free,
 * and nothing personal is left in the row. Everything that belongs to them is removed behind it (database/upkeep/removal.ts).
 */
const deletion = {
  deleted_at: sql`now()`,
  email: sql`'deleted:' || ${users.id}`,
  full_name: null,
  hashed_password: '',
  claimed_password_hash: null,
  is_active: false,
  is_superuser: false,
  credentials_version: sql`${users.credentials_version} + 1`,
  registered_from: null,
}

function prepareDelete(db: Database) {
  const superusers = lockedSuperusers(db)
  const isNoActiveSuperuser = sql`not (${users.is_superuser} and ${users.is_active})`
  const deleted = db.$with('deleted').as(
    db
      .update(users)
      .set(deletion)
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
