import { hash as argon2 } from '@node-rs/argon2'
import { hash as bcrypt } from 'bcryptjs'
import { sql } from 'drizzle-orm'
import { buildApp } from '../../src/app.ts'
import { readConfig } from '../../src/config/config.ts'
import { databaseThatGoes } from '../support/database.ts'
import { freshNetwork } from '../support/limits.ts'
import { address } from '../support/service.ts'

/**
 * `npm run bench:login-timing`: whether the time of a failed sign-in tells who has an account (fault 1). Wrong passwords
 * and unknown addresses, interleaved, with limits as in production: first the work alone, which is equal for hashes with
 * the current parameters and can't be for others, and then what shows of it. Fails where a median differs from that of
 * unknown addresses by 5 % or more.
 */

/** An account takes so many failures before it is limited. */
const PER_ACCOUNT = 10
const MOST_PERCENT = 5

const password = 'correct horse battery'
const hashes = {
  'current hash': await argon2(password, { memoryCost: 65_536, timeCost: 3, parallelism: 4 }),
  'cheaper argon2id': await argon2(password, { memoryCost: 19_456, timeCost: 2, parallelism: 1 }),
  'dearer argon2id': await argon2(password, { memoryCost: 131_072, timeCost: 3, parallelism: 4 }),
  'bcrypt, cost 12': await bcrypt(password, 12),
}

/** @param failing milliseconds that a failure takes at least; the service's own where undefined */
async function measure(
  title: string,
  logins: number,
  kindsOfHash: Partial<typeof hashes>,
  failing?: number,
): Promise<boolean> {
  const config = readConfig({ ENVIRONMENT: 'local', SECRET_KEY: 'only for a measurement, and long enough' })
  const hashing = failing === undefined ? {} : { failing }
  const app = await buildApp(config, { connection: await databaseThatGoes(), hashing })
  const failedLogin = async (username: string) => {
    const start = performance.now()
    const { statusCode } = await app.inject({
      method: 'POST',
      url: '/api/v1/login/access-token',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams({ username, password: 'wrong horse battery' }).toString(),
      remoteAddress: freshNetwork(),
    })
    if (statusCode !== 400) throw new Error(`answered ${statusCode}`)
    return performance.now() - start
  }

  const kinds = new Map<string, { email(round: number): string; times: number[] }>()
  for (const [kind, hash] of Object.entries(kindsOfHash)) {
    const accounts = Array.from({ length: Math.ceil((logins + 1) / PER_ACCOUNT) }, address)
    for (const email of accounts)
      await app.db.execute(sql`insert into users (email, hashed_password) values (${email}, ${hash})`)
    kinds.set(kind, { email: (round) => accounts[round % accounts.length]!, times: [] })
  }
  kinds.set('unknown address', { email: address, times: [] })

  for (const kind of kinds.values()) await failedLogin(kind.email(0)) // warm
  for (let round = 0; round < logins; round++)
    for (const { email, times } of kinds.values()) times.push(await failedLogin(email(round)))
  await app.close()

  console.log(`\n${title}: ${logins} failed sign-ins of each, interleaved`)
  const unknown = median(kinds.get('unknown address')!.times)
  let worst = 0
  for (const [kind, { times }] of kinds) {
    const percent = (100 * (median(times) - unknown)) / unknown
    worst = Math.max(worst, Math.abs(percent))
    console.log(
      `  ${kind.padEnd(18)} median ${median(times).toFixed(1).padStart(6)} ms  ${percent.toFixed(1).padStart(6)} %`,
    )
  }
  return worst < MOST_PERCENT
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!

const current = { 'current hash': hashes['current hash'] }
const equal = await measure('The work alone', 200, current, 0)
await measure('The work of other hashes, which differs', 40, hashes, 0)
const hidden = await measure('As it is', 200, current)
const hiddenToo = await measure('As it is after the hashing cost changed', 40, hashes)
const holds = equal && hidden && hiddenToo
console.log(holds ? '\nmedians differ by under 5 %' : '\nFAILED: a median differs by 5 % or more')
process.exitCode = holds ? 0 : 1
