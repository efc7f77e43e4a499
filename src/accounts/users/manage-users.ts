import type { Static } from '@sinclair/typebox'
import { type SQL, sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../../contract/contract.ts'
import {
  CommonPassword,
  EmailTakenAtChange,
  EmailTakenAtCreation,
  LastSuperuser,
  NotEnoughPrivileges,
  UserNotFound,
  UserToUpdateNotFound,
} from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { apiKeys, users } from '../../database/tables.ts'
import { byAdministrator, notify, queueMail } from '../../mail/queue.ts'
import { type PageRequest, preparePages } from '../../ownership/list/page.ts'
import { type ProfileValues, profileValues, setProfile } from '../change-profile.ts'
import { type Trail, audit, trailOf } from '../audit/audit.ts'
import { keptOrNew } from '../address/kept-or-new.ts'
import { askToConfirm, leaveAddressByAdministrator, refuseTakenEmail } from '../address/change-address.ts'
import { endSessions } from '../sessions/end-sessions.ts'
import { lockSuperusers, othersRemain, userExists } from './last-superuser.ts'
import { isGuessable } from '../passwords/common-passwords.ts'
import { type PublicUser, publicColumns } from './public-user.ts'
import { newToken } from '../tokens.ts'
import type { UserCreate, UserUpdate } from '../schemas/users.ts'

type SignedInRequest = FastifyRequest & SignedIn
type Config = SignedInApp['config']

/** Each has an index; that of `email` is the one that keeps addresses unique. */
type Sort = 'created_at' | 'email' | 'full_name'

/** All users, page by page: GET /users/. */
export function listUsers({ db }: SignedInApp) {
  const isDeleted = sql`${users.deleted_at} is not null`
  const search = ['email', 'full_name']
  const readPage = preparePages<PublicUser, Sort>(db, users, { search, hidden: isDeleted })
  return (page: PageRequest<Sort>, request: FastifyRequest) => readPage(page, {}, () => !request.ended)
}

/**
 * Oneself, or for superusers anybody: GET /users/{id}.
 *
 * @returns what does so. @throws NotEnoughPrivileges, UserNotFound
 */
export function readUser({ db }: SignedInApp) {
  return async (userId: string, { user }: SignedInRequest): Promise<PublicUser> => {
    const id = userId.toLowerCase()
    if (id === user.id) return user
    if (!user.is_superuser) throw new NotEnoughPrivileges()
    const [found] = await db.run(findUser, { id })
    if (!found) throw new UserNotFound()
    return found
  }
}

const findUser = statement<{ id: string }, PublicUser>(
  'read user',
  (v) => sql`select ${publicColumns} from ${users} where id = ${v.id} and deleted_at is null`,
)

/**
 * Creates a user, and mails them a link to choose a password of their own: POST /users/.
 *
 * @returns what does so, and gives the user. @throws EmailTakenAtCreation, CommonPassword; ServiceUnavailable and
 *   TooManyRequests of the queue for hashing
 */
export function createUser(app: SignedInApp) {
  const { auth, config, db } = app
  const create = compileCreate(config)

  return async (account: Static<typeof UserCreate>, request: SignedInRequest, reply: FastifyReply) => {
    const { email, password, full_name = null, is_active = true, is_superuser = false } = account
    if (await isGuessable(password, { email, project: config.PROJECT_NAME }))
      throw (await auth.accounts.findByEmail(email))
        ? new EmailTakenAtCreation()
        : new CommonPassword('password')

    const hashed_password = await auth.passwords.hash(password, reply.turn(request.user.id))
    const values = { hashed_password, full_name, is_active, is_superuser }
    const [user] = await db.run(create, {
      ...values,
      ...trailOf(request),
      email: await auth.accounts.spelling(email),
    })
    if (!user) throw new EmailTakenAtCreation()
    request.record('user_created', { user_id: user.id })
    app.mail.wake()
    return user
  }
}

interface NewUser extends Trail {
  readonly email: string
  readonly hashed_password: string
  readonly full_name: string | null
  readonly is_active: boolean
  readonly is_superuser: boolean
}

/** Creates the user and mails the welcome, where they are active. No row where the address is in use. */
const compileCreate = (config: Config) =>
  statement<NewUser, PublicUser>(
    'create user',
    (v) => sql`
    with account as (
      insert into ${users} (email, hashed_password, full_name, is_active, is_superuser)
      values (${v.email}, ${v.hashed_password}, ${v.full_name}, ${v.is_active}, ${v.is_superuser})
      on conflict do nothing
      returning ${publicColumns}
    ),
    active as (
      select id, email from account where is_active
    ),
    ${audit('user_created', 'account', v)},
    ${welcome('active', config)}
    select ${publicColumns} from account`,
  )

/**
 * CTEs: a mail with a link to choose a password, for whoever is in the CTE `from` (`id`, `email`). They have to be active, as
 * the link would be refused otherwise: others get it when they are activated.
 */
function welcome(from: string, config: Config): SQL {
  const minutes = config.EMAIL_VERIFY_TOKEN_EXPIRE_HOURS * 60
  const isOn = config.mail === 'off' ? sql`false` : sql`true`
  return sql`welcomed as (
      select id, email from ${sql.raw(from)} where ${isOn}
    ),
    ${newToken('welcome_token', 'reset_password', 'welcomed', minutes)},
    ${queueMail('welcome', 'welcomed', { token: 'welcome_token' })}`
}

/**
 * Changes a user, with all that it causes: PATCH /users/{id}.
 *
 * @returns what does so, and gives the user. @throws NoEmailAddress, UserToUpdateNotFound, LastSuperuser,
 *   EmailTakenAtChange, CommonPassword; ServiceUnavailable and TooManyRequests of the queue for hashing
 */
export function changeUser(app: SignedInApp) {
  const { auth, config, db } = app
  const change = compileChange(config)

  return async (
    id: string,
    changes: Static<typeof UserUpdate>,
    request: SignedInRequest,
    reply: FastifyReply,
  ) => {
    const { password, full_name, is_active, is_superuser } = changes
    const email =
      changes.email === undefined
        ? undefined
        : await auth.accounts.spelling(keptOrNew(changes.email, await storedEmail(app, id)))
    const removes = is_active === false || is_superuser === false
    if (password !== undefined) await refuseGuessable(app, id, { password, email, removes })
    const turn = reply.turn(request.user.id)
    const values = {
      id,
      ...trailOf(request),
      ...profileValues({ email, full_name }),
      sets_password: password !== undefined,
      hashed_password: password === undefined ? null : await auth.passwords.hash(password, turn),
      sets_active: is_active !== undefined,
      is_active: is_active ?? null,
      sets_superuser: is_superuser !== undefined,
      is_superuser: is_superuser ?? null,
    }
    const [account] = await refuseTakenEmail(db.run(change, values))
    if (!account) throw (await userExists(db, id)) ? new LastSuperuser() : new UserToUpdateNotFound()

    const { changed, ...user } = account
    request.record('user_updated', { user_id: user.id, changed: changed.split(',').filter(Boolean) })
    app.removeEndedSessionsOf(user.id)
    app.mail.wake()
    return user
  }
}

const storedEmail = async ({ db }: SignedInApp, id: string) =>
  (await db.run(findUserToChange, { id }))[0]?.email

interface GuessableChange {
  readonly password: string
  readonly email: string | undefined
  /** Whether the user would be no active superuser any more. */
  readonly removes: boolean
}

/** Refuses a password that is easy to guess with the user's old or new address. Other errors of the change go first. */
async function refuseGuessable(app: SignedInApp, id: string, { password, email, removes }: GuessableChange) {
  const { auth, config, db } = app
  const [user] = await db.run(findUserToChange, { id })
  const guesses = [user?.email, email].map((known = '') =>
    isGuessable(password, { email: known, project: config.PROJECT_NAME }),
  )
  if (!(await Promise.all(guesses)).includes(true)) return

  if (!user) throw new UserToUpdateNotFound()
  if (user.is_last && removes) throw new LastSuperuser()
  const holder = email === undefined ? undefined : await auth.accounts.findByEmail(email)
  if (holder && holder.id !== user.id) throw new EmailTakenAtChange()
  throw new CommonPassword('password')
}

const findUserToChange = statement<{ id: string }, { id: string; email: string; is_last: boolean }>(
  'find user to change',
  (v) => sql`
    select id, email, is_superuser and is_active and not exists (
      select from ${users} other where other.is_superuser and other.is_active and other.id <> ${users.id}
    ) as is_last
    from ${users} where id = ${v.id} and deleted_at is null`,
)

interface Change extends ProfileValues, Trail {
  readonly id: string
  readonly sets_password: boolean
  readonly hashed_password: string | null
  readonly sets_active: boolean
  readonly is_active: boolean | null
  readonly sets_superuser: boolean
  readonly is_superuser: boolean | null
}

/**
 * Changes what is sent, and names the fields that have other values now. A new password, deactivation or demotion ends the
 * user's sessions; a new password is told, and ends their one-time tokens. No row where the user is the last active
 * superuser, and would not be one any more.
 *
 * Deactivation raises the version of the credentials: whoever has version 0 and is inactive was never active.
 *
 * `before` is not locked, as superusers have to be locked in the order of their ids: of two changes of address at once, the
 * notice of the second may go to the address before both.
 */
function compileChange(config: Config) {
  return statement<Change, PublicUser & { changed: string }>('change user', (v) => {
    const setsPassword = sql`${v.sets_password}::boolean`
    const deactivates = sql`(${v.sets_active}::boolean and not ${v.is_active}::boolean and ${users.is_active})`
    const demotes = sql`(${v.sets_superuser}::boolean and not ${v.is_superuser}::boolean and ${users.is_superuser})`
    return sql`
    with ${lockSuperusers},
    before as (
      select id, email as old_email, is_verified as was_verified, full_name as old_full_name,
        is_active as was_active, is_superuser as was_superuser,
        not is_active and credentials_version = 0 as was_never_active
      from ${users} where id = ${v.id} and deleted_at is null
    ),
    account as (
      update ${users} set ${setProfile(v, setsPassword)},
        hashed_password = case when ${setsPassword} then ${v.hashed_password} else hashed_password end,
        is_active = case when ${v.sets_active}::boolean then ${v.is_active}::boolean else is_active end,
        is_superuser = case when ${v.sets_superuser}::boolean then ${v.is_superuser}::boolean else is_superuser end,
        credentials_version = credentials_version + (${setsPassword} or ${deactivates} or ${demotes})::integer
      from before
      where ${users.id} = ${v.id} and deleted_at is null and ${users.id} = before.id
        and (not (is_superuser and is_active and (${deactivates} or ${demotes})) or ${othersRemain})
      returning ${users}.*, before.old_email, before.was_verified, before.was_active, before.was_never_active, concat_ws(',',
        case when before.old_email <> email then 'email' end,
        case when before.old_full_name is distinct from full_name then 'full_name' end,
        case when before.was_active <> is_active then 'is_active' end,
        case when before.was_superuser <> is_superuser then 'is_superuser' end,
        case when ${setsPassword} then 'password' end) as changed
    ),
    ${endSessions(sql`user_id in (select id from account)
        and credentials_version <> (select account.credentials_version from account)`)},
    updated as (
      select id, changed from account where changed <> ''
    ),
    ${audit('user_updated', 'updated', v, { details: sql`jsonb_build_object('changed', string_to_array(changed, ','))` })},
    ended_keys as (
      -- At an activation too: one that was made while the deactivation waited was not seen by it.
      delete from ${apiKeys} where user_id in (select id from account where was_active <> is_active)
    ),
    password_set as (
      select id, email, is_verified from account where ${setsPassword}
    ),
    ${notify('password_changed', 'password_set', config, byAdministrator)},
    activated as (
      select id, email from account
      where was_never_active and is_active and not ${setsPassword} and lower(email) = lower(old_email)
    ),
    ${welcome('activated', config)},
    moved as (
      select * from account where lower(email) <> lower(old_email)
    ),
    ${askToConfirm(config, 'moved')},
    ${leaveAddressByAdministrator(config, 'moved', 'account', setsPassword, byAdministrator)}
    select ${publicColumns}, changed from account`
  })
}
