import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { stringifySetCookie } from 'cookie'
import { sql } from 'drizzle-orm'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { App, SignedIn, SignedInApp } from '../../contract/contract.ts'
import { InvalidInput } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { oidcStates } from '../../database/tables.ts'
import { urlOf } from '../../text/text-values.ts'
import { callbackPath, providerPath } from './providers.ts'

/** How long somebody may take at the provider. */
const STATE_MINUTES = 10

/** The providers that can be gone to: GET /login/providers. */
export const listProviders = ({ config }: App) => ({
  data: config.oidc.map(({ name }) => ({
    name,
    url: `${config.PUBLIC_URL}${providerPath(name)}`,
  })),
})

/** What a frontend says when it sends a browser off. */
interface Way {
  readonly return_to?: string | undefined
  /** SHA-256 of a secret of its own, base64url (RFC 7636, S256): who has the secret gets the tokens. */
  readonly code_challenge?: string | null | undefined
}

/**
 * Sends the browser to an identity provider to sign in there: GET /login/oidc/{provider}.
 *
 * @returns what does so. @throws ProviderNotFound, ProviderUnavailable; InvalidInput for a `return_to` that is not the frontend's
 */
export function goToProvider(app: App) {
  const begin = beginAt(app)
  return async (provider: string, { return_to, code_challenge = null }: Way, reply: FastifyReply) => {
    const way = { return_to: checkedReturn(app.config, return_to), code_challenge }
    return reply.redirect(await begin(provider, way, null, reply))
  }
}

/**
 * Begins to link an identity with the account that is signed in: POST /users/me/identities/{provider}. The cookie of the
 * answer binds the way back to this browser, so that nobody else who is led to the URL links theirs.
 *
 * @returns what does so, and gives the URL to go to. @throws as goToProvider
 */
export function linkIdentity(app: SignedInApp) {
  const begin = beginAt(app)
  return async (
    provider: string,
    return_to: string | undefined,
    { user }: FastifyRequest & SignedIn,
    reply: FastifyReply,
  ) => {
    const way = { return_to: checkedReturn(app.config, return_to), code_challenge: null }
    return { url: await begin(provider, way, user, reply) }
  }
}

/** Remembers who goes to which provider, and gives the URL there; the browser gets the cookie to come back with. */
function beginAt({ auth, config, db }: Pick<App, 'auth' | 'config' | 'db'>) {
  return async (
    provider: string,
    way: { return_to: string; code_challenge: string | null },
    user: { id: string; session_id: string } | null,
    reply: FastifyReply,
  ) => {
    const id = randomUUID()
    const { url, nonce, code_verifier } = await auth.providers.begin(provider, auth.oidcStates.sign(id))
    const browser = randomBytes(32).toString('base64url')
    await db.run(addState, {
      id,
      provider,
      nonce,
      code_verifier,
      browser: hashOfBrowser(browser),
      ...way,
      user_id: user?.id ?? null,
      session_id: user?.session_id ?? null,
    })
    reply.header('set-cookie', stateCookie(config, provider, id, browser))
    return url
  }
}

interface NewState {
  readonly id: string
  readonly provider: string
  readonly nonce: string
  readonly code_verifier: string
  readonly browser: string
  readonly return_to: string
  readonly code_challenge: string | null
  readonly user_id: string | null
  readonly session_id: string | null
}

const addState = statement<NewState>(
  'add way to an identity provider',
  (v) => sql`
    insert into ${oidcStates} (id, provider, nonce, code_verifier, browser, return_to, code_challenge, user_id, session_id, expires_at)
    values (${v.id}::uuid, ${v.provider}, ${v.nonce}, ${v.code_verifier}, ${v.browser}, ${v.return_to}, ${v.code_challenge}, ${v.user_id}::uuid,
      ${v.session_id}::uuid, now() + interval '${sql.raw(String(STATE_MINUTES))} minutes')`,
)

export const hashOfBrowser = (cookie: string) => createHash('sha256').update(cookie).digest('hex')

/** A name for each way, so that two tabs do not take each other's. */
export const cookieName = (id: string) => `oidc_${id.replaceAll('-', '')}`

/** Sent to the callback alone. @param value '' removes it */
export const stateCookie = (config: Config, provider: string, id: string, value: string) =>
  bindingCookie(config, {
    name: cookieName(id),
    value,
    path: `${config.publicPath}${callbackPath(provider)}`,
    maxAge: value === '' ? 0 : STATE_MINUTES * 60,
  })

/** Binds a way to its browser: read by no script, and sent also where another site leads there (Lax), but by no form of it. */
export const bindingCookie = (
  { PUBLIC_URL }: Pick<Config, 'PUBLIC_URL'>,
  cookie: { name: string; value: string; path: string; maxAge: number },
) =>
  stringifySetCookie({
    ...cookie,
    httpOnly: true,
    sameSite: 'lax',
    secure: PUBLIC_URL?.startsWith('https:') ?? false,
  })

/** Where browsers end: the frontend, or the service's own page. */
export const defaultReturn = ({ FRONTEND_HOST, PUBLIC_URL }: Config) =>
  FRONTEND_HOST ?? (PUBLIC_URL && `${PUBLIC_URL}/sign-in`)

/** @throws InvalidInput for an URL that is not under the frontend's: it would be sent the code of the sign-in */
function checkedReturn(config: Config, given: string | undefined): string {
  if (given === undefined) return String(defaultReturn(config)) // there is a PUBLIC_URL where there are providers
  const [url, base] = [urlOf(given), new URL(config.FRONTEND_HOST ?? String(config.PUBLIC_URL))]
  const folder = base.pathname.endsWith('/') ? base.pathname : `${base.pathname}/`
  const isUnder =
    url?.origin === base.origin && url.username + url.password === '' && `${url.pathname}/`.startsWith(folder)
  if (!isUnder) throw new InvalidInput(['query', 'return_to'], `A URL under ${base.href} is needed`)
  // What the browser comes back with is ours alone.
  for (const name of ANSWERS) url.searchParams.delete(name)
  return url.href
}

/** Names of parameters that browsers come back with. */
const ANSWERS = ['code', 'linked', 'error']
