import { sql } from 'drizzle-orm'
import { buildApp } from '../../src/app.ts'
import { readConfig } from '../../src/config/config.ts'
import type { App } from '../../src/contract/contract.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { createDatabase } from '../support/database.ts'
import { freshNetwork } from '../support/limits.ts'
import { startPostgres } from '../support/postgres.ts'
import { address } from '../support/service.ts'

/**
 * `npm run bench:login-timing` runs this too: whether the time of an answer that is the same for known and unknown
 * addresses tells them apart. A commit takes 4 ms here, as on a slow disk. The measure is the AUC: how often a known
 * address takes longer than an unknown one. 0.5 tells nothing, and 0.55 or more fails.
 */

const ROUNDS = 600
const AT_ONCE = 6
const MOST = 0.55

/** With the memory of a test: what is measured is not the hash. */
const cost = { memoryCost: 1024, timeCost: 1, parallelism: 1 }

interface Ask {
  readonly what: string
  readonly url: (email: string) => string
  readonly payload?: (email: string) => object
  readonly env?: Record<string, string>
}

const asks: Ask[] = [
  { what: 'recovery', url: (email) => `/password-recovery/${email}` },
  { what: 'resend', url: () => '/verify-email/resend', payload: (email) => ({ email }) },
  {
    what: 'sign-up, required',
    url: () => '/users/signup',
    payload: (email) => ({ email, password: 'correct horse battery' }),
    env: { EMAIL_VERIFICATION: 'required' },
  },
]

const postgres = await startPostgres({ fsync: 'on', commit_delay: '4000', commit_siblings: '0' })

async function measure({ what, url, payload, env }: Ask, failing?: number): Promise<number> {
  const config = readConfig({
    ENVIRONMENT: 'local',
    SECRET_KEY: 'only for a measurement, and long enough',
    ...env,
  })
  const database = await createDatabase(postgres.url)
  const connection = connectPostgres({ url: database, migrationUrl: database, poolSize: 10 })
  await connection.migrate()
  const app = await buildApp(config, {
    connection,
    hashing: { cost, ...(failing !== undefined && { failing }) },
  })
  const ask = async (email: string) => {
    const start = performance.now()
    const { statusCode } = await app.inject({
      method: 'POST',
      url: `/api/v1${url(email)}`,
      remoteAddress: freshNetwork(),
      ...(payload && { payload: payload(email) }),
    })
    const took = performance.now() - start
    if (statusCode !== 200) throw new Error(`answered ${statusCode}`)
    return took
  }
  const known = await register(app, ROUNDS)
  const [again = ''] = await register(app, 1)
  const kinds: Record<string, { email(round: number): string; times: number[] }> = {
    unknown: { email: address, times: [] },
    known: { email: (round) => known[round]!, times: [] },
    'known, asked for before': { email: () => again, times: [] },
  }
  for (let warm = 0; warm < 20; warm++) for (const kind of Object.values(kinds)) await ask(kind.email(warm))
  await app.db.execute(sql`delete from rate_limits`)
  const next = Array.from({ length: ROUNDS }, (_, round) => round).values()
  const worker = async () => {
    for (const round of next)
      for (const kind of Object.values(kinds)) kind.times.push(await ask(kind.email(round)))
  }
  await Promise.all(Array.from({ length: failing === 0 ? 1 : AT_ONCE }, worker))
  await app.close()

  const unknown = kinds.unknown!.times
  console.log(`  ${what}`)
  let worst = 0.5
  for (const [kind, { times }] of Object.entries(kinds)) {
    const auc = areaUnderCurve(times, unknown)
    if (kind !== 'unknown') worst = Math.max(worst, auc, 1 - auc)
    console.log(
      `    ${kind.padEnd(24)} median ${median(times).toFixed(1).padStart(6)} ms  AUC ${auc.toFixed(3)}`,
    )
  }
  return worst
}

/** @returns addresses of accounts that are not verified */
async function register({ db }: App, count: number): Promise<string[]> {
  const emails = Array.from({ length: count }, address)
  await db.execute(sql`insert into users (email, hashed_password)
    select email, 'nobody' from json_array_elements_text(${JSON.stringify(emails)}::json) email`)
  return emails
}

/** How often one of `these` is larger than one of `those`, a draw counting half (Mann and Whitney). */
function areaUnderCurve(these: readonly number[], those: readonly number[]): number {
  let larger = 0
  for (const one of these) for (const other of those) larger += one > other ? 1 : one === other ? 0.5 : 0
  return larger / (these.length * those.length)
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!

try {
  console.log(`\nThe work alone: ${ROUNDS} of each, interleaved; a commit takes 4 ms`)
  for (const ask of asks) await measure(ask, 0)
  console.log('\nAs it is')
  const worst = []
  for (const ask of asks) worst.push(await measure(ask))
  const holds = Math.max(...worst) < MOST
  console.log(holds ? `\nno AUC is ${MOST} or more` : `\nFAILED: an AUC is ${MOST} or more`)
  process.exitCode = holds ? 0 : 1
} finally {
  await postgres.stop()
}
