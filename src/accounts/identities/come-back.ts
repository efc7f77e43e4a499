import { type SQL, sql } from 'drizzle-orm'
import { parseCookie } from 'cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { App } from '../../contract/contract.ts'
import {
  AccountExists,
  ApiError,
  IdentityTaken,
  InactiveUser,
  InvalidToken,
  ProviderEmailNotVerified,
  TooManyIdentities,
} from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { identities, oidcCodes, oidcStates, users } from '../../database/tables.ts'
import { cause, notify } from '../../mail/queue.ts'
import { type Trail, audit, auditFailures, trailOf } from '../audit/audit.ts'
import { stillHas } from '../sessions/end-sessions.ts'
import { isUserOf } from '../users/find-user.ts'
import { afterLock } from '../users/lock-user.ts'
import { cookieName, defaultReturn, hashOfBrowser, stateCookie } from './go-to-provider.ts'
import { ProviderRefused, type Vouched } from './providers.ts'

/** How long the frontend has to get its tokens for the code. */
const CODE_SECONDS = 60
/** Of one user, removed ones included. */
const MOST_IDENTITIES = 20

/**
 * Takes whoever comes back from an identity provider on to the frontend: GET /login/oidc/{provider}/callback. They get there with
 * `code`, which POST /login/oidc/token takes once; with `linked`, where they linked an identity; or with `error`, a code of
 * the errors of the contract. A browser that did not begin, or comes a second time, gets `invalid_token`, and uses nothing up.
 *
 * @returns what does so
 */
export function comeBack(app: App) {
  const { auth, config, db } = app
  const fail = auditFailures(app)
  const settle = settleSignIn(app)
  const link = settleLink(app)

  /** Uses the state up: of two that come at once, one goes on. */
  async function useState(provider: string, query: URLSearchParams, request: FastifyRequest) {
    const state = query.get('state') ?? ''
    const id = auth.oidcStates.open(state)
    const browser = id === undefined ? undefined : cookieIn(request, cookieName(id))
    if (id === undefined || browser === undefined) return undefined
    const [row] = await db.run(spendState, { id, provider, browser: hashOfBrowser(browser) })
    return row && { ...row, id, state }
  }

  return async (provider: string, request: FastifyRequest, reply: FastifyReply) => {
    const query = request.url.slice(request.url.indexOf('?') + 1)
    const begun = await useState(provider, new URLSearchParams(query), request)
    if (!begun) {
      const frontend = defaultReturn(config)
      if (frontend === undefined) throw new InvalidToken()
      return reply.redirect(withParameter(frontend, 'error', InvalidToken.code))
    }
    reply.header('set-cookie', stateCookie(config, provider, begun.id, ''))
    const { return_to, user_id, session_id } = begun
    const event = user_id === null ? 'sign_in' : 'identity_added'
    try {
      const vouched = await auth.providers.finish(provider, query, begun)
      const result: [string, string] =
        user_id === null
          ? ['code', await settle(provider, vouched, begun.code_challenge, request)]
          : ['linked', await link(provider, vouched, { user_id, session_id }, request)]
      return await reply.redirect(withParameter(return_to, ...result))
    } catch (error) {
      if (!(error instanceof ApiError) && !(error instanceof ProviderRefused)) throw error
      const reason = error instanceof ApiError ? error.code : error.reason
      await fail(event, { ...(user_id !== null && { user_id }), reason }, request)
      const code = error instanceof ApiError ? error.code : REFUSED
      return reply.redirect(withParameter(return_to, 'error', code))
    }
  }
}

/** For whoever said no at the provider, and for answers that are none of its: the log says which. */
const REFUSED = 'provider_refused'

const cookieIn = ({ headers }: FastifyRequest, name: string) => parseCookie(headers.cookie ?? '')[name]

function withParameter(text: string, name: string, value: string): string {
  const url = new URL(text)
  url.searchParams.set(name, value)
  return url.href
}

interface Begun {
  readonly nonce: string
  readonly code_verifier: string
  readonly return_to: string
  readonly code_challenge: string | null
  readonly user_id: string | null
  readonly session_id: string | null
}

const spendState = statement<{ id: string; provider: string; browser: string }, Begun>(
  'use way to an identity provider',
  (v) => sql`
    delete from ${oidcStates}
    where id = ${v.id}::uuid and provider = ${v.provider} and browser = ${v.browser} and expires_at > now()
    returning nonce, code_verifier, return_to, code_challenge, user_id, session_id`,
)

/**
 * Finds the account of an identity. A new one joins the account with its address, where both are verified; where nobody has the
 * address, it gets an account without a password.
 *
 * @returns what does so, and gives the code that POST /login/oidc/token takes. @throws InactiveUser, AccountExists,
 *   ProviderEmailNotVerified, TooManyIdentities; TooManyRequests of the limit on sign-ups
 */
function settleSignIn(app: App) {
  const { auth, config, db } = app
  const join = compileJoin(config)

  async function attempt(
    provider: string,
    vouched: Vouched,
    code_challenge: string | null,
    request: FastifyRequest,
  ) {
    const { issuer, subject, email, full_name } = vouched
    const identity = { provider, issuer, subject, code_challenge }
    const [known] = await db.run(openKnown, { issuer, subject, email, code_challenge })
    if (known) {
      if (known.code === null) throw new InactiveUser()
      return known.code
    }
    if (email === null) throw new ProviderEmailNotVerified()
    await request.limitNetwork('signup_network')
    const stored = await auth.accounts.spelling(email)
    const [row] = await db.run(join, { ...identity, email: stored, full_name, ...trailOf(request) })
    if (row?.is_taken) throw row.is_active ? new AccountExists() : new InactiveUser()
    if (row?.is_full) throw new TooManyIdentities()
    if (!row?.code) return undefined
    request.record(row.is_new ? 'user_registered' : 'identity_added', { user_id: row.user_id })
    app.mail.wake()
    return row.code
  }

  return async (
    provider: string,
    vouched: Vouched,
    code_challenge: string | null,
    request: FastifyRequest,
  ) => {
    const settle = () => attempt(provider, vouched, code_challenge, request)
    // What somebody else wrote at the same moment is seen the second time.
    const code = (await settle()) ?? (await settle())
    if (code === undefined) throw new InvalidToken()
    return auth.oidcCodes.sign(code)
  }
}

const codeFrom = (from: string, challenge: SQL): SQL => sql`code as (
      insert into ${oidcCodes} (user_id, credentials_version, code_challenge, expires_at)
      select id, credentials_version, ${challenge}::text, now() + interval '${sql.raw(String(CODE_SECONDS))} seconds' from ${sql.raw(from)}
      returning id
    )`

/** A code for the account of an identity that is known; null where it is deactivated. No row where nobody has it. */
const openKnown = statement<
  { issuer: string; subject: string; email: string | null; code_challenge: string | null },
  { code: string | null }
>(
  'open known identity',
  (v) => sql`
    with owner as (
      select ${users.id}, ${users.credentials_version}, ${users.is_active} from ${users}
      where ${users.deleted_at} is null and ${users.id} = (
        select user_id from ${identities}
        where issuer = ${v.issuer} and subject = ${v.subject} and removed_at is null
      )
      for no key update
    ),
    account as (
      select * from owner where is_active
    ),
    -- Removed since the statement began, the identity is not found here any more, and opens nothing.
    noted as (
      update ${identities} set last_used_at = now(), email = coalesce(${v.email}::text, ${identities.email})
      from account where issuer = ${v.issuer} and subject = ${v.subject} and ${identities.user_id} = account.id
        and removed_at is null
      returning account.id, account.credentials_version
    ),
    ${codeFrom('noted', v.code_challenge)}
    select code.id as code from owner left join code on true
    where not owner.is_active or code.id is not null`,
)

interface NewIdentity extends Trail {
  readonly provider: string
  readonly issuer: string
  readonly subject: string
  readonly code_challenge: string | null
  /** That the provider vouches for. */
  readonly email: string
  readonly full_name: string | null
}

interface Joined {
  readonly code: string | null
  readonly user_id: string
  readonly is_new: boolean
  /** The address is that of an account that never verified it, is deactivated, or removed this identity. */
  readonly is_taken: boolean
  /** The account has too many. */
  readonly is_full: boolean
  readonly is_active: boolean
}

/** No row, or one without a code, where somebody else made the account or the identity at the same moment. */
const compileJoin = (config: App['config']) =>
  statement<NewIdentity, Joined>(
    'join identity',
    (v) => sql`
    with owner as (
      select id, email, is_active, is_verified, credentials_version from ${users} where ${isUserOf(v.email)} for no key update
    ),
    -- One that was removed, or whose user is deleted, is free for others.
    free as (
      select where not exists (
        select from ${identities} join ${users} as holder on holder.id = ${identities.user_id}
        where issuer = ${v.issuer} and subject = ${v.subject} and removed_at is null and holder.deleted_at is null
      )
    ),
    made as (
      insert into ${users} (email, hashed_password, full_name, is_verified, registered_from)
      select ${v.email}, '', ${v.full_name}::text, true, ${v.ip_address}::text from free where not exists (select from owner)
      on conflict do nothing
      returning id, email, is_verified, credentials_version
    ),
    account as (
      select id, email, is_verified, credentials_version, false as is_new from owner
      where is_active and is_verified and not exists (
        select from ${identities} where issuer = ${v.issuer} and subject = ${v.subject} and user_id = owner.id
          and removed_at is not null
      )
      union all select id, email, is_verified, credentials_version, true from made
    ),
    with_room as (
      select * from account where ${hasRoom(sql`account.id`)}
    ),
    linked as (
      insert into ${identities} (user_id, provider, issuer, subject, email, last_used_at)
      select id, ${v.provider}, ${v.issuer}, ${v.subject}, ${v.email}, now() from with_room, free
      ${takeFree}
      returning user_id
    ),
    joined as (
      select account.* from account join linked on linked.user_id = account.id
    ),
    told as (
      select * from joined where not is_new
    ),
    ${codeFrom('joined', v.code_challenge)},
    ${audit('user_registered', 'made', v, { actor: sql`id` })},
    ${audit('identity_added', 'joined', v, { actor: sql`id`, details: providerOf(v.provider) })},
    ${notify('way_in_changed', 'told', config, sql`${cause(v)} || '{"what": "identity_added"}'::jsonb`)}
    select code.id as code, account.id as user_id, coalesce(account.is_new, false) as is_new,
      account.id is null as is_taken, coalesce(owner.is_active, true) as is_active,
      account.id is not null and not exists (select from with_room) as is_full
    from owner full join account on account.id = owner.id left join code on true`,
  )

const hasRoom = (user: SQL) => sql`(
        select count(*) from ${identities} where user_id = ${user}
      ) < ${sql.raw(String(MOST_IDENTITIES))}`

/** Of an insert of identities: one that was removed, or whose user is deleted, becomes that of the new user. */
const takeFree = sql`on conflict (issuer, subject) do update
        set user_id = excluded.user_id, provider = excluded.provider, email = excluded.email, created_at = now(),
          last_used_at = excluded.last_used_at, removed_at = null
        where ${identities.removed_at} is not null
          or exists (select from ${users} where ${users.id} = ${identities.user_id} and ${users.deleted_at} is not null)`

const providerOf = (provider: SQL) => sql`jsonb_build_object('provider', ${provider}::text)`

/**
 * Links an identity with the account that began to, while its session goes on.
 *
 * @returns what does so, and gives the name of the provider. @throws IdentityTaken, TooManyIdentities, InvalidToken
 */
function settleLink(app: App) {
  const { config, db } = app
  const add = compileLink(config)

  return async (
    provider: string,
    { issuer, subject, email }: Vouched,
    { user_id, session_id }: { user_id: string; session_id: string | null },
    request: FastifyRequest,
  ) => {
    const of = { provider, issuer, subject, email, user: user_id, session: session_id ?? '' }
    const values = { ...of, ...trailOf(request) }
    const [row] = await afterLock(db, user_id, (transaction) => transaction.run(add, values))
    if (!row) throw new InvalidToken() // the session ended meanwhile
    if (!row.is_theirs) throw row.is_full ? new TooManyIdentities() : new IdentityTaken()
    if (row.is_new) request.record('identity_added', { user_id })
    app.mail.wake()
    return provider
  }
}

interface NewLink extends Trail {
  readonly provider: string
  readonly issuer: string
  readonly subject: string
  readonly email: string | null
  readonly user: string
  readonly session: string
}

/** No row where the session has ended. */
const compileLink = (config: App['config']) =>
  statement<NewLink, { is_new: boolean; is_theirs: boolean; is_full: boolean }>(
    'link identity',
    (v) => sql`
    with owner as (
      select id, email, is_verified from ${users}
      where id = ${v.user} and is_active and ${stillHas(v.session)} for no key update
    ),
    linked as (
      insert into ${identities} (user_id, provider, issuer, subject, email)
      select id, ${v.provider}, ${v.issuer}, ${v.subject}, ${v.email}::text from owner
      where ${hasRoom(sql`owner.id`)}
      ${takeFree}
      returning user_id
    ),
    told as (
      select owner.* from owner, linked
    ),
    ${audit('identity_added', 'told', v, { actor: sql`id`, session: v.session, details: providerOf(v.provider) })},
    ${notify('way_in_changed', 'told', config, sql`${cause(v)} || '{"what": "identity_added"}'::jsonb`)}
    select exists (select from linked) as is_new, exists (select from linked) or exists (
        select from ${identities}
        where issuer = ${v.issuer} and subject = ${v.subject} and user_id = ${v.user} and removed_at is null
      ) as is_theirs, not ${hasRoom(sql`owner.id`)} as is_full
    from owner`,
  )
