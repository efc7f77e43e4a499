import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Configuration, type KoaContextWithOIDC, Provider } from 'oidc-provider'

/** What the provider says of whoever signs in next. */
export interface Somebody {
  readonly sub: string
  readonly email?: string
  readonly email_verified?: unknown
  readonly name?: string
}

export interface IdentityProvider {
  readonly issuer: string
  /** Settings of a service that knows it as `acme`. */
  readonly env: Record<string, string>
  /** Who signs in from now on, with no questions asked; null: they say no. */
  somebody: Somebody | null
  /** Changes what it answers, as one that is broken or hostile would. */
  tamper: (context: KoaContextWithOIDC) => void | Promise<void>
  /** As a browser goes: from a URL of it to the service's callback, which is given. */
  visit(url: string): Promise<string>
  close(): Promise<void>
}

/** A certified provider (oidc-provider) on loopback, whose sign-in page signs `somebody` in without showing itself. */
export async function startIdentityProvider(
  t: { teardown(close: () => Promise<void>): unknown },
  {
    callback = 'http://localhost:8000/api/v1/login/oidc/acme/callback',
    ...more
  }: Configuration & { callback?: string } = {},
): Promise<IdentityProvider> {
  const server = createServer((request, response) => void provider.callback()(request, response))
  server.keepAliveTimeout = 60_000 // on a busy machine, five seconds end between two requests of a test
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const people = new Map<string, Somebody>()
  const provider = new Provider(issuer, {
    clients: [
      { client_id: 'groundwork', client_secret: 'a secret of the provider', redirect_uris: [callback] },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    cookies: { keys: ['only for tests'] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub, ...people.get(sub) }) }),
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    // Whoever signs in agrees to what the service asks for.
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({
        clientId: oidc.client!.clientId,
        accountId: oidc.session!.accountId!,
      })
      grant.addOIDCScope('openid email profile')
      await grant.save()
      return grant
    },
    ...more,
  })
  provider.use(async (context, next) => {
    if (context.path.startsWith('/interaction/')) {
      const { somebody } = identityProvider
      if (somebody) people.set(somebody.sub, somebody)
      const result = somebody
        ? { login: { accountId: somebody.sub, remember: false } }
        : { error: 'access_denied', error_description: 'They said no' }
      await provider.interactionFinished(context.req, context.res, result)
      context.respond = false
      return
    }
    await next()
    await identityProvider.tamper(context as KoaContextWithOIDC)
  })
  const close = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  const identityProvider: IdentityProvider = {
    issuer,
    env: {
      OIDC_ACME_ISSUER: issuer,
      OIDC_ACME_CLIENT_ID: 'groundwork',
      OIDC_ACME_CLIENT_SECRET: 'a secret of the provider',
    },
    somebody: null,
    tamper: () => undefined,
    async visit(url) {
      const cookies = new Map<string, string>()
      let next = url
      while (next.startsWith(issuer)) {
        const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
        const answer = await fetch(next, { redirect: 'manual', headers: { cookie } })
        for (const set of answer.headers.getSetCookie()) {
          const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? []
          cookies.set(name, value)
        }
        const location = answer.headers.get('location')
        if (location === null) throw new Error(`${answer.status} ${await answer.text()}`)
        next = new URL(location, next).href
      }
      return next
    },
    close,
  }
  t.teardown(async () => {
    if (server.listening) await close()
  })
  return identityProvider
}
