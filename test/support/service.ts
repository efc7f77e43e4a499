import { randomUUID } from 'node:crypto'
import { type sql } from 'drizzle-orm'
import type { InjectOptions, Response } from 'light-my-request'
import type { Test } from 'tap'
import { type Dependencies, buildApp } from '../../src/app.ts'
import { readConfig } from '../../src/config/config.ts'
import type { App } from '../../src/contract/contract.ts'
import { freshDatabase } from './database.ts'
import { paperRoutes } from './papers.ts'

/** The production app on a database of its own, with papers beside its own resources, and the people who use it. */
export interface Service {
  readonly app: App
  /** Sends a request; `as` is whose token goes with it. */
  call(method: Method, path: string, request?: Request): Promise<Answer>
  /** The first superuser, signed in. */
  readonly admin: Person
  /** Makes a user and signs them in. */
  person(
    overrides?: Partial<Record<'email' | 'password' | 'full_name', string>> & { is_verified?: boolean },
  ): Promise<Person>
  signIn(email: string, password: string, from?: string): Promise<Answer>
  /** The same person in another session. */
  again(person: Person): Promise<Person>
  /** Makes one more superuser and signs them in. */
  superuser(): Promise<Person>
  /** A link's token, as the recovery mail to this address would carry it. */
  resetToken(email: string): Promise<string>
  /** Rows of a query, for what can't be seen from outside. */
  rows<Row>(query: ReturnType<typeof sql>): Promise<Row[]>
  close(): Promise<void>
}

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'

export interface Request {
  readonly as?: Person | undefined
  readonly body?: unknown
  readonly form?: Record<string, string>
  readonly headers?: Record<string, string>
  /** The address that it comes from; 127.0.0.1 where left out. */
  readonly from?: string
}

export interface Answer {
  readonly status: number
  readonly headers: Response['headers']
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of every shape
  readonly body: any
  readonly text: string
}

export interface Person {
  readonly id: string
  readonly email: string
  readonly password: string
  readonly token: string
}

/** Argon2 at its least; tests about what a hash is say COST. */
const CHEAP = { memoryCost: 8, timeCost: 1, parallelism: 1 }

const PASSWORD = 'correct horse battery'
const ADMIN = { email: 'admin@example.com', password: 'changethis' }

/** Starts the service for a test file; it is closed when the test ends. */
export async function startService(
  t: Test,
  env: Record<string, string> = {},
  dependencies: Dependencies = {},
): Promise<Service> {
  const connection = dependencies.connection ?? (await freshDatabase())
  const config = readConfig({
    ENVIRONMENT: 'local',
    SECRET_KEY: 'only for tests, and long enough for that',
    // Tests sign in with wrong passwords by the thousand, from one address: those about limits say `true`.
    RATE_LIMIT_ENABLED: 'false',
    ...env,
  })
  const hashing = { failing: 0, cost: CHEAP, ...dependencies.hashing }
  const app = await buildApp(config, { resources: [paperRoutes], ...dependencies, connection, hashing })
  let closed: Promise<void> | undefined
  const close = () => (closed ??= app.close())
  t.teardown(close)

  const call: Service['call'] = async (method, path, { as, body, form, headers, from } = {}) => {
    const url = path.startsWith('/api') || path.startsWith('//') ? path : `/api/v1${path}`
    const options: InjectOptions = {
      method,
      url,
      ...(from !== undefined && { remoteAddress: from }),
      headers: { ...(as && { authorization: `Bearer ${as.token}` }), ...headers },
    }
    if (form) {
      options.payload = new URLSearchParams(form).toString()
      options.headers = { 'content-type': 'application/x-www-form-urlencoded', ...options.headers }
    } else if (body !== undefined) options.payload = body as object
    const answer = await app.inject(options)
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body:
        answer.body !== '' && String(answer.headers['content-type']).includes('json')
          ? answer.json()
          : undefined,
      text: answer.body,
    }
  }
  const signIn: Service['signIn'] = (username, password, from) =>
    call('POST', '/login/access-token', { form: { username, password }, ...(from !== undefined && { from }) })
  const signedIn = async (email: string, password: string): Promise<Person> => {
    const { body } = await signIn(email, password)
    const { body: me } = await call('GET', '/users/me', {
      headers: { authorization: `Bearer ${body.access_token}` },
    })
    return { id: me.id, email, password, token: body.access_token }
  }
  const admin = await signedIn(
    env.FIRST_SUPERUSER ?? ADMIN.email,
    env.FIRST_SUPERUSER_PASSWORD ?? ADMIN.password,
  )
  return {
    app,
    call,
    close,
    signIn,
    admin,
    again: ({ email, password }) => signedIn(email, password),
    async superuser() {
      const account = { email: address(), password: PASSWORD }
      await call('POST', '/users/', { as: admin, body: { ...account, is_superuser: true } })
      return signedIn(account.email, account.password)
    },
    async resetToken(email) {
      const { text } = await call('POST', `/password-recovery-html-content/${email}`, { as: admin })
      return /href="[^"]*\?token=([^"]+)"/.exec(text)?.[1] ?? ''
    },
    async person(overrides = {}) {
      const account = { email: address(), password: PASSWORD, full_name: 'Ada', ...overrides }
      await call('POST', '/private/users/', { body: account })
      return signedIn(account.email, account.password)
    },
    async rows<Row>(query: ReturnType<typeof sql>) {
      const result = (await app.db.execute(query)) as Row[] | { rows: Row[] }
      return Array.isArray(result) ? [...result] : result.rows
    },
  }
}

/** An address that nobody has yet. */
export const address = () => `${randomUUID()}@example.com`
