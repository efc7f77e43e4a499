import type { Static } from '@sinclair/typebox'
import { type SQL, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../contract/contract.ts'
import { EmailTakenAtChange, InvalidCredentials } from '../contract/errors.ts'
import { statement } from '../database/statement.ts'
import { users } from '../database/tables.ts'
import { cause } from '../mail/queue.ts'
import { isSameEmail } from '../text/email-address.ts'
import { type Trail, type TrailParameters, audit, trailOf } from './audit/audit.ts'
import { keptOrNew } from './address/kept-or-new.ts'
import { askToConfirm, leaveAddress, refuseTakenEmail } from './address/change-address.ts'
import { stillHas, twice } from './sessions/end-sessions.ts'
import { type PublicUser, publicColumns } from './users/public-user.ts'
import type { UserUpdateMe } from './schemas/users.ts'

/**
 * Changes one's own name and address: PATCH /users/me. Another address needs a recent sign-in, as it is where recovery mails
 * go. It is the account's at once, and can be taken back from the one before; where EMAIL_CHANGE is confirmed, it is the
 * account's once a link mailed to it is used.
 *
 * @returns what does so, and gives the user. @throws NoEmailAddress, RecentSignInRequired, EmailTakenAtChange; TooManyRequests where the
 *   network had too many mails sent; InvalidCredentials where the session ended meanwhile
 */
export function changeProfile(app: SignedInApp) {
  const { auth, config, db } = app
  const change = compileChange(config)

  return async (changes: Static<typeof UserUpdateMe>, request: FastifyRequest & SignedIn) => {
    const { id, email: oldEmail, full_name: oldName, session_id: session } = request.user
    const email =
      changes.email === undefined
        ? undefined
        : await auth.accounts.spelling(keptOrNew(changes.email, oldEmail))
    const moves = email !== undefined && !isSameEmail(email, oldEmail)
    if (moves) {
      auth.requireFresh(request.user)
      await request.limitNetwork('mail_network')
      if (isConfirmedFirst(config) && (await auth.accounts.findByEmail(email))) throw new EmailTakenAtChange()
    }

    const values = { id, session, ...trailOf(request), ...profileValues({ ...changes, email }) }
    const [account] = await refuseTakenEmail(twice(() => db.run(change, values)))
    if (!account) throw new InvalidCredentials()

    if (account.full_name !== oldName) request.record('profile_changed', { changed: ['full_name'] })
    if (!isSameEmail(account.email, oldEmail)) request.record('address_changed')
    else if (moves) request.record('address_change_requested')
    if (moves) app.mail.wake()
    return account
  }
}

/** Whether a new address has to be confirmed before it is the account's. */
const isConfirmedFirst = ({ EMAIL_CHANGE }: Pick<SignedInApp['config'], 'EMAIL_CHANGE'>) =>
  EMAIL_CHANGE === 'confirmed'

type Values = ProfileValues & Trail & { readonly id: string; readonly session: string }

const compileChange = (config: SignedInApp['config']) =>
  isConfirmedFirst(config) ? compileConfirmedChange(config) : compileImmediateChange(config)

/** Changes the user, with what a changed address causes. The row is locked first, so that `old_email` is the one it had. */
const compileImmediateChange = (config: SignedInApp['config']) =>
  statement<Values, PublicUser>(
    'change profile',
    (v) => sql`
    with before as (
      select id, email as old_email, full_name as old_full_name, is_verified as was_verified
      from ${users} where id = ${v.id} and deleted_at is null and ${stillHas(v.session)} for no key update
    ),
    account as (
      update ${users} set ${setProfile(v)}
      from before where ${users.id} = before.id
      returning ${users}.*, before.old_email, before.old_full_name, before.was_verified
    ),
    moved as (
      select * from account where lower(email) <> lower(old_email)
    ),
    ${auditRenamed(v)},
    ${audit('address_changed', 'moved', v)},
    ${askToConfirm(config, 'moved')},
    ${leaveAddress(config, 'moved', cause(v))}
    select ${publicColumns} from account`,
  )

/** Changes the name, and notes the address that a link is mailed to. One that differs in case alone is changed at once. */
const compileConfirmedChange = (config: SignedInApp['config']) =>
  statement<Values, PublicUser>('change profile, the address once it is confirmed', (v) => {
    const email = sql`${v.email}::text`
    const moves = sql`(${v.sets_email}::boolean and lower(${email}) <> lower(${users.email}))`
    return sql`
    with before as (
      select id, full_name as old_full_name
      from ${users} where id = ${v.id} and deleted_at is null and ${stillHas(v.session)} for no key update
    ),
    account as (
      update ${users} set
        email = case when ${v.sets_email}::boolean and not ${moves} then ${email} else ${users.email} end,
        pending_email = case when ${moves} then ${email} when ${v.sets_email}::boolean then null else pending_email end,
        ${setName(v)}
      from before where ${users.id} = before.id
      returning ${users}.*, before.old_full_name
    ),
    pending as (
      select id, pending_email as email, is_verified, registered_from, created_at from account
      where ${v.sets_email}::boolean and pending_email is not null
    ),
    ${auditRenamed(v)},
    ${audit('address_change_requested', 'pending', v)},
    ${askToConfirm(config, 'pending')}
    select ${publicColumns} from account`
  })

const auditRenamed = (v: TrailParameters) => sql`renamed as (
      select id from account where full_name is distinct from old_full_name
    ),
    ${audit('profile_changed', 'renamed', v, { details: sql`'{"changed": ["full_name"]}'::jsonb` })}`

/** Fields of a profile as values of a statement: whether each is sent, as null is a name too. */
export interface ProfileValues {
  readonly sets_email: boolean
  readonly email: string | null
  readonly sets_full_name: boolean
  readonly full_name: string | null
}

interface ProfileChanges {
  readonly email?: string | undefined
  readonly full_name?: string | null | undefined
}

export const profileValues = ({ email, full_name }: ProfileChanges): ProfileValues => ({
  sets_email: email !== undefined,
  email: email ?? null,
  sets_full_name: full_name !== undefined,
  full_name: full_name ?? null,
})

/**
 * Of an `update` of users: name and address, where they are sent. A new address is not verified, and the password that
 * somebody signed up with at the old one is forgotten.
 *
 * @param forgetsClaim an expression: whether that password is forgotten in any case
 */
export function setProfile(v: Readonly<Record<keyof ProfileValues, SQL>>, forgetsClaim = sql`false`): SQL {
  const email = sql`${v.email}::text`
  const moves = sql`(${v.sets_email}::boolean and lower(${email}) <> lower(${users.email}))`
  return sql`email = case when ${v.sets_email}::boolean then ${email} else ${users.email} end,
        ${setName(v)},
        pending_email = case when ${v.sets_email}::boolean then null else pending_email end,
        is_verified = ${users.is_verified} and not ${moves},
        claimed_password_hash = case
          when ${moves} or ${forgetsClaim} then null else claimed_password_hash
        end`
}

const setName = (v: Readonly<Record<'sets_full_name' | 'full_name', SQL>>): SQL =>
  sql`full_name = case when ${v.sets_full_name}::boolean then ${v.full_name} else ${users.full_name} end`
