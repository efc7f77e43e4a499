import { type Agent, type IncomingHttpHeaders, request } from 'node:http'

/** What one client can send to take the service from the others, a function for each that makes the next request. */

export interface Sent {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Sent in chunks, without a Content-Length. */
  readonly chunked?: boolean
  /** Milliseconds after which the client goes away, whatever was answered. */
  readonly leavesAfter?: number
}

/** What the attacker knows: accounts of its own, and the address of its victim. */
export interface Attacker {
  /** Headers of a session of its own, with 90,000 items. */
  readonly own: Readonly<Record<string, string>>
  /** Headers of a superuser's session, for what only the largest lists show. */
  readonly superuser: Readonly<Record<string, string>>
  readonly email: string
  readonly password: string
  readonly victim: string
}

export interface Attack {
  readonly title: string
  readonly connections: number
  next(attacker: Attacker, n: number): Sent
}

const api = '/api/v1'
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const json = { 'content-type': 'application/json' }

const fills = ['a', '@', '%40', ' ', '%20', '/', '.', ',', ';', '=', '"', 'a@', 'a.', '%', '\\'] as const
const LONG = 31_000
const long = (n: number) => {
  const fill = fills[n % fills.length]!
  return fill.repeat(Math.floor(LONG / fill.length))
}
const inPath = (text: string) => text.replaceAll(/[\s"\\]/g, (character) => encodeURIComponent(character))
const HEADERS = [
  'authorization',
  'if-none-match',
  'x-forwarded-for',
  'traceparent',
  'origin',
  'cookie',
] as const

const MEBIBYTE = 1024 * 1024
const bodies: readonly Sent[] = [
  { method: 'POST', path: `${api}/users/signup`, headers: json, body: '['.repeat(MEBIBYTE) },
  {
    method: 'POST',
    path: `${api}/users/signup`,
    headers: json,
    body: `{${Array.from({ length: 90_000 }, (_, n) => `"f${n}":1`).join(',')}}`,
  },
  {
    method: 'POST',
    path: `${api}/login/access-token`,
    headers: form,
    body: `username=${'a'.repeat(MEBIBYTE)}&password=wrong-horse`,
  },
]

const login = (username: string, password: string): Sent => ({
  method: 'POST',
  path: `${api}/login/access-token`,
  headers: form,
  body: new URLSearchParams({ username, password }).toString(),
})

const searches = ['a', 'e', 'it', 'item', 'what there is', 'Item 1', 'zz', '%', '_'] as const
const sorts = ['-created_at', 'created_at', 'title', '-title'] as const

export const attacks: Readonly<Record<string, Attack>> = {
  text: {
    title: 'text of 31,000 characters in paths, queries, headers, forms',
    connections: 16,
    next({ victim }, n) {
      const text = long(n >> 2)
      if (n % 4 === 0) return { method: 'GET', path: `/${inPath(text)}` }
      if (n % 4 === 1) return { method: 'GET', path: `${api}/items/?q=${inPath(text)}` }
      if (n % 4 === 2) return { method: 'GET', path: '/', headers: { [HEADERS[n % HEADERS.length]!]: text } }
      return {
        ...login(victim, ''),
        body: `username=${encodeURIComponent(text).slice(0, LONG)}&password=wrong-horse`,
      }
    },
  },
  bodies: {
    title: 'bodies of 1 MiB: brackets, 90,000 fields, a name at sign-in',
    connections: 16,
    next: (_attacker, n) => ({ ...bodies[n % bodies.length]!, chunked: n % 2 === 0 }),
  },
  hashing: {
    title: '64 right sign-ins at once, again and again',
    connections: 64,
    next: ({ email, password }) => login(email, password),
  },
  aborted: {
    title: 'requests whose client leaves, at every stage',
    connections: 32,
    next({ own, email, password }, n) {
      const sent = [
        { method: 'GET', path: `${api}/items/?limit=1000`, headers: own },
        login(email, password),
        { method: 'POST', path: `${api}/items/`, headers: { ...own, ...json }, body: '{"title":"x"}' },
      ][n % 3]!
      return { ...sent, leavesAfter: (n * 7) % 40 }
    },
  },
  hoarder: {
    title: '20 connections that list and page through 90,000 items of their own',
    connections: 20,
    next({ own }, n) {
      const query = [
        'limit=20',
        'limit=1000&skip=80000',
        'limit=1000&sort=title&skip=80000',
        'q=item&limit=20',
      ]
      return { method: 'GET', path: `${api}/items/?${query[n % query.length]}`, headers: own }
    },
  },
  recovery: {
    title: "recovery, verification and sign-up with the victim's address",
    connections: 16,
    next({ victim }, n) {
      const [at, email] = [n % 3, encodeURIComponent(victim)]
      if (at === 0) return { method: 'POST', path: `${api}/password-recovery/${email}` }
      const path = at === 1 ? `${api}/verify-email/resend` : `${api}/users/signup`
      const body = JSON.stringify({ email: victim, password: `something else ${n}` })
      return { method: 'POST', path, headers: json, body }
    },
  },
  probes: {
    title: '32 connections on /health/ready and /health/live',
    connections: 32,
    next: (_attacker, n) => ({ method: 'GET', path: n % 2 === 0 ? '/health/ready' : '/health/live' }),
  },
  search: {
    title: 'searches of one character, or of what all rows have: own items',
    connections: 20,
    next: ({ own }, n) => search(own, n),
  },
  searchAll: {
    title: "the same over everybody's items",
    connections: 20,
    next: ({ superuser }, n) => search(superuser, n),
  },
}

function search(headers: Readonly<Record<string, string>>, n: number): Sent {
  const [q, sort] = [searches[n % searches.length]!, sorts[n % sorts.length]!]
  return { method: 'GET', path: `${api}/items/?${new URLSearchParams({ q, sort }).toString()}`, headers }
}

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

/** Sends one request. Status 0 is no answer. */
export function send(
  base: string,
  { method, path, headers = {}, body, chunked = false, leavesAfter }: Sent,
  options: { readonly agent?: Agent; readonly localAddress?: string } = {},
): Promise<Answered> {
  const { hostname, port } = new URL(base)
  const length = body === undefined || chunked ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  return new Promise((resolve) => {
    const none = () => resolve({ status: 0, headers: {} })
    const asked = request(
      { hostname, port, method, path, headers: { ...headers, ...length }, ...options },
      (answer) => {
        answer.resume()
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers }))
        answer.on('error', none)
        answer.on('aborted', none)
      },
    )
    asked.on('error', none)
    if (leavesAfter !== undefined) setTimeout(() => asked.destroy(), leavesAfter).unref()
    if (chunked && body !== undefined) {
      for (let at = 0; at < body.length; at += 65_536) asked.write(body.slice(at, at + 65_536))
      asked.end()
    } else asked.end(body)
  })
}
