import { type SQL, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { App } from '../../contract/contract.ts'
import { InactiveUser, InvalidToken } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import {
  addressChanges,
  apiKeys,
  factors,
  identities,
  oneTimeTokens,
  passkeys,
  recoveryCodes,
  users,
} from '../../database/tables.ts'
import { queueMail } from '../../mail/queue.ts'
import { type Trail, audit, trailOf } from '../audit/audit.ts'
import { UNDO_HOURS, refuseTakenEmail } from './change-address.ts'
import { endSessions } from '../sessions/end-sessions.ts'
import { type FoundToken, newToken } from '../tokens.ts'
import { afterLock } from '../users/lock-user.ts'

/**
 * Takes a change of address back with the token that was mailed to the address before: POST /undo-email-change/, and the page
 * of that name. Whoever changed it may know the password, so that stops working, and everybody is signed out; a link to
 * choose another one is mailed.
 *
 * @returns what does so, and gives the address. @throws InvalidToken, InactiveUser, EmailTakenAtChange
 */
export function undoEmailChange(app: App) {
  const { config, db } = app
  const find = findEmailChange(app)
  const undo = compileUndo(config)

  return async (text: string, request: FastifyRequest) => {
    const change = await find(text)
    if (!change) throw new InvalidToken()
    const { id, user_id, email } = change
    if (!change.user_is_active) throw new InactiveUser()
    const values = { change: id, user: user_id, ...trailOf(request) }
    const [account] = await refuseTakenEmail(
      afterLock(db, user_id, (transaction) => transaction.run(undo, values)),
    )
    if (!account) throw new InvalidToken() // used or expired since it was found
    app.removeEndedSessionsOf(user_id)
    request.record('address_restored', { user_id })
    app.mail.wake()
    return email
  }
}

/** @returns what finds the change behind a text; undefined where it is forged, was taken back, or can't be any more */
export function findEmailChange({ auth, db }: Pick<App, 'auth' | 'db'>) {
  return async (text: string): Promise<FoundToken | undefined> => {
    const id = auth.oneTimeTokens.open('undo_email_change', text)
    if (id === undefined) return undefined
    const [change] = await db.run(findChange, { id })
    return change
  }
}

/**
 * Condition: an address that was never verified may be a stranger's, mistyped. It takes nothing back from one that is verified,
 * nor where a verified one before it can.
 */
const isOlderRight = sql`(${addressChanges.was_verified} or not ${users.is_verified} and not exists (
      select from ${addressChanges} as earlier
      where earlier.user_id = ${users.id} and earlier.number < ${addressChanges.number} and earlier.was_verified
        and earlier.expires_at > now()
    ))`

type WayIn = typeof identities | typeof factors | typeof apiKeys | typeof passkeys | typeof recoveryCodes

/**
 * Condition on a way in: whoever changed the address may have made it, also before the change. Its owner was mailed of it, and of
 * what is older had as long to notice as of the change.
 */
const isOfThief = (table: WayIn): SQL =>
  sql`${table.user_id} = used.user_id
        and ${table.created_at} >= used.created_at - interval '${sql.raw(String(UNDO_HOURS))} hours'`

const findChange = statement<{ id: string }, FoundToken>(
  'find change of address',
  (v) => sql`
    select ${addressChanges.id}, ${addressChanges.user_id}, ${addressChanges.email}, ${users.is_active} as user_is_active
    from ${addressChanges} join ${users} on ${users.id} = ${addressChanges.user_id}
    where ${addressChanges.id} = ${v.id} and ${addressChanges.expires_at} > now() and ${isOlderRight}
      and ${users.deleted_at} is null`,
)

/**
 * Puts the address back, ends every session and token of the user, removes the second factors, identities, passkeys and API keys
 * that a thief may have added, and mails a link to choose a password. Later changes can't be taken back any more, as their addresses are of whoever
 * made this one; earlier ones can. No row where the change was taken back already, or the user went inactive.
 */
const compileUndo = (config: App['config']) =>
  statement<Trail & { change: string; user: string }, { id: string }>(
    'undo change of address',
    (v) => sql`
    with locked as (
      select id from ${users} where id = ${v.user} and is_active and deleted_at is null for no key update
    ),
    used as (
      delete from ${addressChanges} using locked join ${users} on ${users.id} = locked.id
      where ${addressChanges.id} = ${v.change} and ${addressChanges.user_id} = locked.id
        and ${addressChanges.expires_at} > now() and ${isOlderRight}
      returning ${addressChanges.user_id}, ${addressChanges.email}, ${addressChanges.was_verified}, ${addressChanges.number},
        ${addressChanges.created_at}
    ),
    later as (
      delete from ${addressChanges} using used
      where ${addressChanges.user_id} = used.user_id and ${addressChanges.number} > used.number
    ),
    account as (
      update ${users} set email = used.email, is_verified = used.was_verified, pending_email = null, hashed_password = '',
        claimed_password_hash = null, credentials_version = credentials_version + 1
      from used where ${users.id} = used.user_id
      returning ${users.id}, ${users.email}, ${users.is_verified}
    ),
    ${endSessions(sql`user_id in (select id from account)`)},
    dead as (
      delete from ${oneTimeTokens} where user_id in (select id from account)
    ),
    ${newToken('token', 'reset_password', 'account', config.EMAIL_RESET_TOKEN_EXPIRE_HOURS * 60)},
    removed_factors as (delete from ${factors} using used where ${isOfThief(factors)}),
    removed_codes as (delete from ${recoveryCodes} using used where ${isOfThief(recoveryCodes)}),
    removed_identities as (delete from ${identities} using used where ${isOfThief(identities)}),
    removed_passkeys as (delete from ${passkeys} using used where ${isOfThief(passkeys)}),
    removed_keys as (delete from ${apiKeys} using used where ${isOfThief(apiKeys)}),
    ${audit('address_restored', 'account', v)},
    ${queueMail('address_restored', 'account', { token: 'token' })}
    select id from account`,
  )
