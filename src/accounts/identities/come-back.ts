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
} from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { identities, oidcCodes, oidcStates, users } from '../../database/tables.ts'
import { cause, notify } from '../../mail/queue.ts'
import { type Trail, audit, auditFailures, trailOf } from '../audit/audit.ts'
import { stillHas } from '../sessions/end-sessions.ts'
import { isUserOf } from '../users/find-user.ts'
import { cookieName, defaultReturn, hashOfBrowser, stateCookie } from './go-to-provider.ts'
import { ProviderRefused, type Vouched } from './providers.ts'

/** How long the frontend has to get its tokens for the code. */
const CODE_SECONDS = 60
/** Of one user. */
const MOST_IDENTITIES = 10

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
          ? ['code', await settle(provider, vouched, request)]
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
  readonly user_id: string | null
  readonly session_id: string | null
}

const spendState = statement<{ id: string; provider: string; browser: string }, Begun>(
  'use way to an identity provider',
  (v) => sql`
    delete from ${oidcStates}
    where id = ${v.id}::uuid and provider = ${v.provider} and browser = ${v.browser} and expires_at > now()
    returning nonce, code_verifier, return_to, user_id, session_id`,
)

/**
 * Finds the account of an identity. A new one joins the account with its address, where both are verified; where nobody has the
 * address, it gets an account without a password.
 *
 * @returns what does so, and gives the code that POST /login/oidc/token takes. @throws InactiveUser, AccountExists,
 *   ProviderEmailNotVerified; TooManyRequests of the limit on sign-ups
 */
function settleSignIn(app: App) {
  const { auth, config, db } = app
  const join = compileJoin(config)

  async function attempt(provider: string, vouched: Vouched, request: FastifyRequest) {
    const { issuer, subject, email, full_name } = vouched
    const trail = trailOf(request)
    const [known] = await db.run(openKnown, { issuer, subject, email })
    if (known) {
      if (known.code === null) throw new InactiveUser()
      return known.code
    }
    if (email === null) throw new ProviderEmailNotVerified()
    await request.limitNetwork('signup_network')
    const stored = await auth.accounts.spelling(email)
    const [row] = await db.run(join, { provider, issuer, subject, email: stored, full_name, ...trail })
    if (row?.is_taken) throw row.is_active ? new AccountExists() : new InactiveUser()
    if (!row?.code) return undefined
    request.record(row.is_new ? 'user_registered' : 'identity_added', { user_id: row.user_id })
    app.mail.wake()
    return row.code
  }

  return async (provider: string, vouched: Vouched, request: FastifyRequest) => {
    // What somebody else wrote at the same moment is seen the second time.
    const code = (await attempt(provider, vouched, request)) ?? (await attempt(provider, vouched, request))
    if (code === undefined) throw new InvalidToken()
    return auth.oidcCodes.sign(code)
  }
}

const codeFrom = (from: string): SQL => sql`code as (
      insert into ${oidcCodes} (user_id, credentials_version, expires_at)
      select id, credentials_version, now() + interval '${sql.raw(String(CODE_SECONDS))} seconds' from ${sql.raw(from)}
      returning id
    )`

/** A code for the account of an identity that is known; null where it is deactivated. */
const openKnown = statement<
  { issuer: string; subject: string; email: string | null },
  { code: string | null }
>(
  'open known identity',
  (v) => sql`
    with owner as (
      select ${users.id}, ${users.credentials_version}, ${users.is_active} from ${users}
      where ${users.deleted_at} is null and ${users.id} = (
        select user_id from ${identities} where issuer = ${v.issuer} and subject = ${v.subject}
      )
      for key share
    ),
    account as (
      select * from owner where is_active
    ),
    noted as (
      update ${identities} set last_used_at = now(), email = coalesce(${v.email}::text, ${identities.email})
      from account where issuer = ${v.issuer} and subject = ${v.subject} and ${identities.user_id} = account.id
    ),
    ${codeFrom('account')}
    select code.id as code from owner left join code on true`,
)

interface NewIdentity extends Trail {
  readonly provider: string
  readonly issuer: string
  readonly subject: string
  /** That the provider vouches for. */
  readonly email: string
  readonly full_name: string | null
}

interface Joined {
  readonly code: string | null
  readonly user_id: string
  readonly is_new: boolean
  /** The address is that of an account that never verified it, or is deactivated. */
  readonly is_taken: boolean
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
    made as (
      insert into ${users} (email, hashed_password, full_name, is_verified, registered_from)
      select ${v.email}, '', ${v.full_name}::text, true, ${v.ip_address}::text where not exists (select from owner)
      on conflict do nothing
      returning id, email, is_verified, credentials_version
    ),
    account as (
      select id, email, is_verified, credentials_version, false as is_new from owner where is_active and is_verified
      union all select id, email, is_verified, credentials_version, true from made
    ),
    linked as (
      insert into ${identities} (user_id, provider, issuer, subject, email, last_used_at)
      select id, ${v.provider}, ${v.issuer}, ${v.subject}, ${v.email}, now() from account
      where (select count(*) from ${identities} where user_id = account.id) < ${sql.raw(String(MOST_IDENTITIES))}
      on conflict do nothing
      returning user_id
    ),
    joined as (
      select account.* from account join linked on linked.user_id = account.id
    ),
    told as (
      select * from joined where not is_new
    ),
    ${codeFrom('joined')},
    ${audit('user_registered', 'made', v, { actor: sql`id` })},
    ${audit('identity_added', 'joined', v, { actor: sql`id`, details: providerOf(v.provider) })},
    ${notify('way_in_changed', 'told', config, sql`${cause(v)} || '{"what": "identity_added"}'::jsonb`)}
    select code.id as code, account.id as user_id, coalesce(account.is_new, false) as is_new,
      account.id is null as is_taken, coalesce(owner.is_active, true) as is_active
    from owner full join account on account.id = owner.id left join code on true`,
  )

const providerOf = (provider: SQL) => sql`jsonb_build_object('provider', ${provider}::text)`

/**
 * Links an identity with the account that began to, while its session goes on.
 *
 * @returns what does so, and gives the name of the provider. @throws IdentityTaken, InvalidToken
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
    const values = { provider, issuer, subject, email, user: user_id, session: session_id ?? '' }
    const [row] = await db.run(add, { ...values, ...trailOf(request) })
    if (!row) throw new InvalidToken() // the session ended meanwhile
    if (!row.is_theirs) throw new IdentityTaken()
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
  statement<NewLink, { is_new: boolean; is_theirs: boolean }>(
    'link identity',
    (v) => sql`
    with owner as (
      select id, email, is_verified from ${users}
      where id = ${v.user} and is_active and ${stillHas(v.session)} for no key update
    ),
    linked as (
      insert into ${identities} (user_id, provider, issuer, subject, email)
      select id, ${v.provider}, ${v.issuer}, ${v.subject}, ${v.email}::text from owner
      where (select count(*) from ${identities} where user_id = ${v.user}) < ${sql.raw(String(MOST_IDENTITIES))}
      on conflict do nothing
      returning user_id
    ),
    told as (
      select owner.* from owner, linked
    ),
    ${audit('identity_added', 'told', v, { actor: sql`id`, session: v.session, details: providerOf(v.provider) })},
    ${notify('way_in_changed', 'told', config, sql`${cause(v)} || '{"what": "identity_added"}'::jsonb`)}
    select exists (select from linked) as is_new, exists (select from linked) or exists (
        select from ${identities} where issuer = ${v.issuer} and subject = ${v.subject} and user_id = ${v.user}
      ) as is_theirs
    from owner`,
  )
