import postgres, { type Sql } from 'postgres'
import type { Test } from 'tap'
import { createDatabase } from '../../support/database.ts'
import { type MailServer, startMailServer } from '../../support/mail-server.ts'
import { type ThrowawayPostgres, startPostgres } from '../../support/postgres.ts'
import { type Running, start, temporaryFolder } from '../../support/process.ts'
import { ask } from './client.ts'
import { type Audit, type Ledger, ledger, queryOf, readRows } from './ledger.ts'
import { type Load, live } from './lives.ts'
import { type Post, postOf, settle } from './post.ts'

/** How often the random ones are played; CI has at least 20. */
// oxlint-disable-next-line node/no-process-env -- a setting of the tests
export const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 20)

/** Within which an answer is there, whatever is broken, and within which all is well once it is mended. */
export const ANSWER_MS = 2_000
export const RECOVERY_MS = 5_000

/** A PostgreSQL, a mail server, and the built service between them: the parts that production has. */
export interface Scene {
  readonly server: ThrowawayPostgres
  readonly databaseUrl: string
  /** Past the service, for what can't be seen from outside. */
  readonly sql: Sql
  readonly mailServer: MailServer
  readonly ledger: Ledger
  readonly post: Post
  readonly env: Record<string, string>
  /** Starts one more process of the service, from dist or another folder; resolves when it is ready. */
  startService(env?: Record<string, string>, build?: string): Promise<Running>
  /** People who live on it, as many as are named. */
  live(url: string | (() => string), people: number, explained?: readonly string[]): Promise<Load>
  /** Waits for the mails and holds the ledger against the rows; comments on the figures. */
  audit(rounds: number, what: string): Promise<Audit>
}

/** What is shown of what a service said, where a test fails. */
const OUTPUT_LENGTH = 4_000

export const SECRET_KEY = 'only for tests, and long enough for that'

/** @param server one that the test may halt; it is stopped when the test ends */
export async function setScene(
  t: Test,
  { server: given, env: added = {} }: { server?: ThrowawayPostgres; env?: Record<string, string> } = {},
): Promise<Scene> {
  const server = given ?? (await startPostgres())
  t.teardown(() => server.stop())
  const databaseUrl = await createDatabase(server.url)
  const sql = postgres(databaseUrl, {
    max: 2,
    onnotice: () => undefined,
    connection: { application_name: 'test' },
  })
  t.teardown(() => sql.end({ timeout: 1 }))
  const mailServer = await startMailServer(t)
  const post = postOf(mailServer)
  const book = ledger()
  const env = {
    DATABASE_URL: databaseUrl,
    SECRET_KEY,
    RATE_LIMIT_ENABLED: 'false',
    LOG_LEVEL: 'warn',
    ...mailServer.env,
    ...added,
  }
  const folder = temporaryFolder(t)
  const query = queryOf(sql)
  return {
    server,
    databaseUrl,
    sql,
    mailServer,
    post,
    ledger: book,
    env,
    async startService(more = {}, build?: string) {
      const service = await start(t, { folder, build, env: { ...env, ...more } })
      t.teardown(() => t.passing() || t.comment(service.output().slice(-OUTPUT_LENGTH)))
      return service
    },
    live: async (url, people, explained) => {
      const where = typeof url === 'string' ? () => url : url
      const admin = await signInAsAdmin(where())
      const load = live({ url: where, ledger: book, post, admin, explained }, people)
      t.teardown(load.stop)
      return load
    },
    async audit(rounds, what) {
      await settle(query)
      const rows = await readRows(query)
      const audit = book.audit(rows)
      const mails = post.audit(rows)
      t.comment(`figure: ${figure(what, rounds, audit, mails)}`)
      t.same(audit.lost, [], 'every acknowledged write is there')
      t.same(audit.halves, [], 'no refused write is half there')
      t.same(audit.surprises, [], 'every answer is one that the fault explains')
      t.same(mails.lost, [], 'every mail that was due arrived, under its one Message-ID')
      t.same(mails.doubled, [], 'none came twice that was taken once')
      t.ok(audit.acknowledged > 0 && mails.arrived > 0, 'there was something to lose')
      return audit
    },
  }
}

export function figure(
  what: string,
  rounds: number,
  audit: Audit,
  mails: { due: number; repeated: number; lost: readonly string[] },
) {
  return (
    `${what}: ${rounds} rounds, ${audit.writes} writes of ${audit.kinds.length} kinds ` +
    `(${audit.acknowledged} acknowledged, ${audit.refused} refused, ${audit.unanswered} unanswered), ` +
    `${mails.due} mails (${mails.repeated} more than once); ` +
    `lost: ${audit.lost.length} writes, ${mails.lost.length} mails; half there: ${audit.halves.length}`
  )
}

export async function signInAsAdmin(url: string): Promise<string> {
  const form = { username: 'admin@example.com', password: 'changethis' }
  const { status, body } = await ask(`${url}/api/v1/login/access-token`, { method: 'POST', form })
  if (status !== 200) throw new Error(`signing in: ${status}`)
  return body.access_token as string
}

/** Milliseconds until a path answers so. @throws where it does not within `withinMs` */
export async function untilStatus(url: string, status: number, withinMs: number): Promise<number> {
  const start = performance.now()
  let last: number | undefined
  while ((last = (await ask(url)).status) !== status) {
    if (performance.now() - start > withinMs)
      throw new Error(`${url}: ${last}, not ${status}, after ${withinMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return performance.now() - start
}

/** Milliseconds that the slowest answer took, as its client saw it. */
export const slowestOf = (replies: readonly { readonly ms: number }[]) =>
  Math.max(0, ...replies.map(({ ms }) => ms))

/** Any number from `low` to `high`. */
export const between = (low: number, high: number) => low + Math.random() * (high - low)

/** One of them, each as likely as another. */
export const anyOf = <T>(values: readonly [T, ...T[]]): T =>
  values[Math.floor(Math.random() * values.length)]!
