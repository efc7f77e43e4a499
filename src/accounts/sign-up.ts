import { randomUUID } from 'node:crypto'
import { type SQL, sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { App } from '../contract/contract.ts'
import { CommonPassword, EmailTakenAtSignup } from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { users } from '../database/tables.ts'
import { cause, limitLinks, queueMail } from '../mail/queue.ts'
import { type Trail, audit, trailOf } from './audit/audit.ts'
import { isUserOf } from './users/find-user.ts'
import { isGuessable } from './passwords/common-passwords.ts'
import { type PublicUser, publicColumns } from './users/public-user.ts'
import { newToken } from './tokens.ts'
import { verifies } from './address/change-address.ts'

interface SignUp {
  readonly email: string
  readonly password: string
  readonly full_name?: string | null | undefined
}

/**
 * Creates a user who asks for it themselves, and mails them a link to verify their address: POST /users/signup.
 *
 * Where addresses have to be verified, one that is in use is answered as a new one, with a made-up user and in the same
 * time, so that nobody learns who has an account. Its owner is mailed.
 *
 * @returns what does so. @throws CommonPassword, EmailTakenAtSignup; ServiceUnavailable and TooManyRequests of the queue
 *   for hashing
 */
export function signUp(app: App) {
  const { auth, config, db } = app
  const create = compileSignUp(config)
  const isHidden = hidesAccounts(config)

  return async (
    { email, password, full_name = null }: SignUp,
    request: FastifyRequest,
    reply: FastifyReply,
  ) => {
    if (await isGuessable(password, { email, project: config.PROJECT_NAME })) {
      if (!isHidden && (await auth.accounts.findByEmail(email))) throw new EmailTakenAtSignup()
      throw new CommonPassword('password')
    }
    const attempt = async () => {
      const hashed_password = await auth.passwords.hash(password, reply.turn(email.toLowerCase()))
      const stored = await auth.accounts.spelling(email)
      const values = { email: stored, hashed_password, full_name, ...trailOf(request) }
      const [row] = await db.run(create, values)
      // Of two sign-ups at the same moment, the second doesn't see the row of the first yet: its second try does.
      return row ?? (isHidden ? (await db.run(create, values))[0] : undefined)
    }
    const created = await (isHidden ? auth.level(attempt) : attempt())
    const isNew = created !== undefined && created.id !== null
    if (!isNew && !isHidden) throw new EmailTakenAtSignup()
    request.record('user_registered', isNew ? { user_id: created.id } : { reason: 'address in use' })
    app.mail.wake()
    return isNew ? created : madeUp(email, full_name)
  }
}

/** Whether it is a secret which addresses are in use. */
const hidesAccounts = ({ EMAIL_VERIFICATION }: Pick<App['config'], 'EMAIL_VERIFICATION'>) =>
  EMAIL_VERIFICATION === 'required'

const madeUp = (email: string, full_name: string | null): PublicUser => ({
  id: randomUUID(),
  email,
  full_name,
  is_active: true,
  is_superuser: false,
  is_verified: false,
  created_at: new Date(),
})

interface Values extends Trail {
  readonly email: string
  readonly hashed_password: string
  readonly full_name: string | null
}

/** The address is in use, and its owner is mailed. */
type OwnerTold = { readonly id: null }

/**
 * Creates the user, and mails a link to verify the address. No row where the address is in use; where that is secret, a row
 * of nulls, and a mail to the owner.
 */
const compileSignUp = (config: App['config']) =>
  statement<Values, PublicUser | OwnerTold>(
    'sign up',
    (v) => sql`
    with account as (
      insert into ${users} (email, hashed_password, full_name, registered_from)
      values (${v.email}, ${v.hashed_password}, ${v.full_name}, ${v.ip_address})
      on conflict do nothing
      returning ${publicColumns}
    ),
    ${audit('user_registered', 'account', v, { actor: sql`id` })}${mailLink(v, config)}${tellOwner(v, config)}
    select account.* from account ${hidesAccounts(config) ? sql`full join owner on true` : sql``}`,
  )

type Parameters = Readonly<Record<keyof Values, SQL>>

/** CTEs: a mail with a link to verify the address, for whoever is in CTE `account`. */
function mailLink(v: Parameters, config: App['config']): SQL {
  if (!verifies(config)) return sql``
  const params = sql`jsonb_build_object('from', ${v.ip_address}::text, 'made_at', created_at)`
  return sql`,
    ${limitLinks('sign_up', 'account', config)},
    ${newToken('verification', 'verify_email', 'allowed_sign_up', linkMinutes(config))},
    ${queueMail('verification', 'allowed_sign_up', { token: 'verification', params })}`
}

/**
 * CTE `owner`: the user who has the address already, none or one, who is mailed that somebody signed up with it. Where they
 * never verified it, somebody else may have made the account: then the mail says so, and has a link to take it over.
 *
 * The new password is stored as a claim: a sign-in with it is answered as after any other sign-up. The update locks the
 * row until the mail is there: a deletion waits, or this finds nobody.
 */
function tellOwner(v: Parameters, config: App['config']): SQL {
  if (!hidesAccounts(config)) return sql``
  const params = sql`${cause(v)} || jsonb_build_object('made_at', created_at, 'made_from', registered_from)`
  return sql`,
    owner as (
      update ${users} set claimed_password_hash = ${v.hashed_password}
      where ${isUserOf(v.email)} and not exists (select from account)
      returning ${users.id}, ${users.email}, ${users.is_active}, ${users.is_verified}, ${users.registered_from},
        ${users.created_at}
    ),
    ${limitLinks('account_exists', 'owner', config)},
    confirmed as (select * from allowed_account_exists where is_verified or not is_active),
    ${queueMail('account_exists', 'confirmed', { params: cause(v) })},
    unconfirmed as (select * from allowed_account_exists where is_active and not is_verified),
    ${newToken('take_over', 'reset_password', 'unconfirmed', linkMinutes(config))},
    ${queueMail('account_unconfirmed', 'unconfirmed', { token: 'take_over', params })}`
}

const linkMinutes = (config: App['config']) => config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60

interface PrivateUser extends SignUp {
  readonly is_verified?: boolean
}

/**
 * Creates a user without mail or sign-in, for development and tests: POST /private/users/, only where ENVIRONMENT is local.
 *
 * @returns what does so. @throws EmailTakenAtSignup
 */
export function createPrivately({ auth }: App) {
  return async ({ password, ...account }: PrivateUser, request: FastifyRequest, reply: FastifyReply) => {
    const hashed_password = await auth.passwords.hash(password, reply.turn())
    const user = await auth.accounts.create({ ...account, hashed_password }, trailOf(request))
    if (!user) throw new EmailTakenAtSignup()
    request.record('user_created', { user_id: user.id })
    return user
  }
}
