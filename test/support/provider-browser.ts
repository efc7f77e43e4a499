import type { IdentityProvider, Somebody } from './identity-provider.ts'
import { type Answer, type Person, type Service, address } from './service.ts'

let number = 0
/** Somebody whom no provider knows yet. */
export const somebody = (more: Partial<Somebody> = {}): Somebody => ({
  sub: `subject ${number++}`,
  email: address(),
  email_verified: true,
  name: 'Ada',
  ...more,
})

/** A browser that goes to the provider: what it was given to come back with. */
interface Way {
  readonly url: string
  readonly cookie: string
}

/** A browser that goes to `acme` and comes back. */
export function browser({ call }: Service, provider: IdentityProvider) {
  const cookieOf = ({ headers }: Answer) => String(headers['set-cookie']).split(';')[0] ?? ''
  const begin = async (path = '/login/oidc/acme'): Promise<Way> => {
    const answer = await call('GET', path)
    return { url: String(answer.headers.location), cookie: cookieOf(answer) }
  }
  const back = (callback: string, cookie: string) => {
    const { pathname, search } = new URL(callback)
    return call('GET', `${pathname}${search}`, { headers: { cookie } })
  }
  /** The parameters with which it ends at the frontend. */
  const end = ({ status, headers }: Answer) => {
    if (status !== 302) throw new Error(`not led on, but ${status}`)
    return Object.fromEntries(new URL(String(headers.location)).searchParams)
  }
  const through = async (who: Somebody | null, path?: string) => {
    provider.somebody = who
    const { url, cookie } = await begin(path)
    return end(await back(await provider.visit(url), cookie))
  }
  const tokens = (code: string | undefined, code_verifier?: string) =>
    call('POST', '/login/oidc/token', {
      body: { code: code ?? '', ...(code_verifier !== undefined && { code_verifier }) },
    })
  const link = async (as: Person, who: Somebody) => {
    provider.somebody = who
    const answer = await call('POST', '/users/me/identities/acme', { as })
    return end(await back(await provider.visit(answer.body.url), cookieOf(answer)))
  }
  return {
    begin,
    back,
    end,
    through,
    tokens,
    link,
    cookieOf,
    async signIn(who: Somebody) {
      const { code } = await through(who)
      return tokens(code)
    },
    async person(who: Somebody): Promise<Person> {
      const { body } = await tokens((await through(who)).code)
      const headers = { authorization: `Bearer ${body.access_token}` }
      const me = await call('GET', '/users/me', { headers })
      return { id: me.body.id, email: me.body.email, password: '', token: body.access_token }
    },
  }
}
