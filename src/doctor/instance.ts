import type { Config } from '../config/config.ts'
import { withoutLastSlashes } from '../text/text-values.ts'
import { type Finding, doubtful, fine, wrong } from './findings.ts'

const WITHIN_MS = 5_000
/** TEST-NET-3 (RFC 5737): no real client has such an address. */
const FORGED = '203.0.113.99'

/** Checks a running instance over HTTP: health, and which address it sees for its clients. */
export async function* instanceFindings(url: string, config: Config): AsyncGenerator<Finding> {
  const base = withoutLastSlashes(url)
  const ask = (path: string, init: RequestInit = {}) =>
    fetch(base + path, { ...init, signal: AbortSignal.timeout(WITHIN_MS) })
  try {
    for (const path of ['live', 'ready']) {
      const { ok, status } = await ask(`/health/${path}`)
      yield ok
        ? fine('instance', `is ${path}`)
        : wrong('instance', `is not ${path} (${status})`, 'see its logs')
    }
    yield await addressFinding(ask, config)
  } catch (error) {
    yield wrong('instance', `${base} does not answer (${reason(error)})`, 'is it up, and is the URL right?')
  }
}

const reason = (error: unknown) => {
  const { cause, name } = error as Error & { cause?: { code?: string } }
  return cause?.code ?? name
}

/** Signs in as the first superuser with a forged X-Forwarded-For, and checks the address of the session. */
async function addressFinding(
  ask: (path: string, init?: RequestInit) => Promise<Response>,
  { FIRST_SUPERUSER: username, FIRST_SUPERUSER_PASSWORD: password }: Config,
): Promise<Finding> {
  if (password === undefined)
    return doubtful('address', 'not seen', 'it takes FIRST_SUPERUSER and FIRST_SUPERUSER_PASSWORD')
  const signIn = await ask('/api/v1/login/access-token', {
    method: 'POST',
    headers: { 'x-forwarded-for': FORGED },
    body: new URLSearchParams({ username, password }),
  })
  if (!signIn.ok)
    return doubtful(
      'address',
      `not seen, as signing in is answered ${signIn.status}`,
      'it takes FIRST_SUPERUSER_PASSWORD',
    )
  const { access_token } = (await signIn.json()) as { access_token: string }
  const headers = { authorization: `Bearer ${access_token}` }
  const sessions = (await (await ask('/api/v1/users/me/sessions', { headers })).json()) as {
    data: { is_current: boolean; ip_address: string | null }[]
  }
  await ask('/api/v1/login/logout', { method: 'POST', headers })
  const seen = sessions.data.find(({ is_current }) => is_current)?.ip_address
  if (seen === FORGED)
    return wrong(
      'address',
      'a client chooses the address that it is taken for',
      'let the proxy set X-Forwarded-For anew, and TRUST_PROXY name nothing but the proxy',
    )
  return fine(
    'address',
    `this client is seen as ${seen}; TRUST_PROXY must name the proxy where that is the proxy's`,
  )
}
