import { type SQL, sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { App } from '../../contract/contract.ts'
import { CommonPassword, InactiveUser, InvalidToken } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { apiKeys, oneTimeTokens, identities, passkeys, users } from '../../database/tables.ts'
import { cause, notify } from '../../mail/queue.ts'
import { type Trail, audit, trailOf } from '../audit/audit.ts'
import { endSessions } from '../sessions/end-sessions.ts'
import { isGuessable } from '../passwords/common-passwords.ts'
import { useToken } from '../tokens.ts'
import { afterLock } from '../users/lock-user.ts'
import { withoutWaysIn } from '../users/ways-in.ts'

interface Reset {
  readonly token: string
  readonly new_password: string
}

/**
 * Sets a new password with the token of a mailed link: POST /reset-password/, and the page of that name.
 *
 * @returns what does so, and gives the address of the account. @throws InvalidToken, InactiveUser, CommonPassword;
 *   ServiceUnavailable and TooManyRequests of the queue for hashing
 */
export function resetPassword(app: App) {
  const { auth, config, db } = app
  const reset = compileReset(config)

  return async ({ token: text, new_password }: Reset, request: FastifyRequest, reply: FastifyReply) => {
    const token = await auth.oneTimeTokens.find('reset_password', text)
    if (!token) throw new InvalidToken()
    const { id, user_id, email } = token
    if (!token.user_is_active) throw new InactiveUser()
    if (await isGuessable(new_password, { email, project: config.PROJECT_NAME }))
      throw new CommonPassword('new_password')

    const hashed_password = await auth.passwords.hash(new_password, reply.turn(user_id))
    const values = { token: id, user: user_id, hashed_password, ...trailOf(request) }
    const [account] = await afterLock(db, user_id, (transaction) => transaction.run(reset, values))
    if (!account) throw new InvalidToken() // used, expired, or no longer its user's since it was found

    // Whom strangers keep from signing in on a new network gets in this way: it is known to the account from now on, and
    // what others in that network guessed is forgotten.
    await auth.knownNetworks.remember(user_id, request.network)
    await request.forget('login', email.toLowerCase(), request.network)
    app.removeEndedSessionsOf(user_id)
    request.record('password_changed', { user_id })
    app.mail.wake()
    return email
  }
}

/**
 * Uses the token up, sets the password, verifies the address, ends every session and token of the user, and mails a notice.
 * Where the address was not verified before, passkeys and identities may be of whoever signed up with it: they go. Second factors
 * stay, or whoever reads the mailbox would get around them; API keys too, which the mail names.
 * No row where the token was used or expired, or the user went inactive or has another address.
 */
const compileReset = (config: App['config']) =>
  statement<Trail & { token: string; user: string; hashed_password: string }, { id: string }>(
    'reset password',
    (v) => sql`
    with ${useToken(v.token, v.user, sql`is_active`)},
    account as (
      update ${users} set hashed_password = ${v.hashed_password}, claimed_password_hash = null, is_verified = true,
        credentials_version = credentials_version + 1
      from used where ${users.id} = used.user_id and lower(${users.email}) = lower(used.email)
      returning ${users.id}, ${users.email}, ${users.is_verified}
    ),
    ${endSessions(sql`user_id in (select id from account)`)},
    dead as (
      delete from ${oneTimeTokens} where user_id in (select id from account) and id <> ${v.token}
    ),
    taken_over as (
      select account.id from account join locked on locked.id = account.id where not locked.is_verified
    ),
    ${withoutWaysIn('taken_over')},
    ${audit('password_changed', 'account', v, { details: sql`'{"by": "link"}'::jsonb` })},
    ${notify('password_changed', 'account', config, sql`${cause(v)} || ${waysInOf('account')}`)}
    select id from account`,
  )

/** The mail names what goes on working, as whoever had the password may have made some of it. */
const waysInOf = (account: string) => {
  const ifVerified = (names: SQL) =>
    sql`(select case when locked.is_verified then (${names}) end from locked)`
  return sql`jsonb_strip_nulls(jsonb_build_object(
      'keys', (${namesOf(apiKeys, 'name', account)}),
      'passkeys', ${ifVerified(namesOf(passkeys, 'name', account))},
      'identities', ${ifVerified(sql`${namesOf(identities, 'provider', account)} and removed_at is null`)}
    ))`
}

const namesOf = (
  table: typeof apiKeys | typeof identities | typeof passkeys,
  name: string,
  account: string,
) =>
  sql`select string_agg(${sql.raw(name)}, ', ' order by created_at) from ${table} where user_id in (select id from ${sql.raw(account)})`
