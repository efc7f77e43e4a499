import { type SQL, and, eq, inArray, ne, sql } from 'drizzle-orm'
import type { Database } from '../../db/connect.ts'
import { columnsIn } from '../../db/page-statement.ts'
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

export function prepareUserStatements(db: Database) {
  return {
    get: db.select().from(users).where(ofId).prepare('user_get'),
    updateOwn: prepareUpdateOwn(db),
    changePassword: prepareChangePassword(db),
    deleteOwn: db
      .delete(users)
      .where(and(ofId, sql`not ${users.is_superuser}`))
      .returning({ id: users.id })
      .prepare('user_delete_own'),
    update: prepareUpdate(db),
    delete: prepareDelete(db),
  }
}

function prepareUpdateOwn(db: Database) {
  const account = db.$with('account').as(db.update(users).set(profile).where(ofId).returning())
  const dead = db.$with('dead').as(deleteTokens(db, sql`${account}`))
  return db.with(account, dead).select().from(account).prepare('user_update_own')
}

/** Tokens mailed to an address that `account` no longer has, and all of them where `all` holds. */
const deleteTokens = (db: Database, account: SQL, all: SQL = sql`false`) =>
  db
    .delete(tokens)
    .where(
      sql`exists (
        select from ${account} account
        where account.id = ${tokens.user_id} and (${all} or lower(account.email) <> lower(${tokens.email}))
      )`,
    )
    .returning({ id: tokens.id })

function prepareChangePassword(db: Database) {
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
  return db.with(account, kept, ended, dead).select().from(account).prepare('user_change_password')
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

function prepareUpdate(db: Database) {
  const superusers = lockedSuperusers(db)
  const deactivates = sql`(${sent(users.is_active)} and not ${value('is_active')}::boolean and ${users.is_active})`
  const demotes = sql`(${sent(users.is_superuser)} and not ${value('is_superuser')}::boolean and ${users.is_superuser})`
  const removesSuperuser = sql`(${users.is_superuser} and ${users.is_active} and (${deactivates} or ${demotes}))`
  const endsSessions = sql`(${sent(users.hashed_password)} or ${deactivates} or ${demotes})`

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
      .where(and(ofId, sql`(not ${removesSuperuser} or ${othersRemain(superusers)})`))
      .returning(),
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
  const dead = db.$with('dead').as(deleteTokens(db, sql`${account}`, sent(users.hashed_password)))
  return db
    .with(superusers, account, ended, dead)
    .select({ id: users.id, user: columnsIn(users, account) })
    .from(users)
    .leftJoin(account, sql`true`)
    .where(ofId)
    .prepare('user_update')
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
