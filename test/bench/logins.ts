import { availableParallelism } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { hash, verify } from '@node-rs/argon2'
import { hashSync } from 'bcryptjs'
import type { Request } from 'autocannon'
import { COST } from '../../src/accounts/passwords/passwords.ts'
import { type Loaded, createRate, load } from './load.ts'
import { bounded, digits, median, part, progress, row } from './report.ts'
import { list } from './requests.ts'
import { ADMIN, startServer } from './servers.ts'
import type { World } from './world.ts'

const AT_ONCE = 64
const cores = availableParallelism()
const ROUNDS = 5

const login = (username: string): Request[] => [
  {
    method: 'POST',
    path: '/api/v1/login/access-token',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ ...ADMIN, username }).toString(),
  },
]

/** Sign-ins against what the cores can hash, and what everybody else notices of them. */
export async function logins(world: World, seconds: number) {
  part('Logins')
  const env = { DATABASE_URL: world.url }
  const service = await startServer({ what: 'service', env })
  const old = 'legacy@example.com'
  // Kept outdated: renewing it at the first login would leave none to measure.
  const legacy = hashSync(ADMIN.password, 12)
  await world.sql`insert into users (email, hashed_password) values (${old}, ${legacy})`
  await world.sql`
    create function stay() returns trigger language plpgsql as
    $$ begin new.hashed_password := old.hashed_password; return new; end $$`
  await world.sql`
    create trigger stay before update on users for each row
    when (old.hashed_password like '$2%') execute function stay()`
  const sign = async (username: string) => {
    const signed = await load({
      urls: [service.url],
      requests: () => login(username),
      connections: AT_ONCE,
      seconds,
    })
    await untilDrained(service.url)
    return signed
  }
  const read = () =>
    load({ urls: [service.url], requests: () => list.requests(world, 0), connections: 4, seconds })

  // Cold code costs a sign-in twice as much.
  for (let round = 0; round < ROUNDS; round++) await sign(ADMIN.username)
  progress('the ceiling of argon2')
  const apiece: Ceiling = { atOnce: cores, seconds, rounds: [] }
  const shared: Ceiling = { atOnce: Math.ceil(cores / 2), seconds: seconds / 2, rounds: [] }
  await against([apiece, shared], async () => (await sign(ADMIN.username)).steadyPerSecond)
  const { ratio, more } = told(apiece)
  bounded('logins a second, ratio to hashes, one a core', ratio, { least: 0.95, more })
  const shares = told(shared)
  row('ratio to hashes whose lanes share two cores', `${digits(shares.ratio)} (${shares.more})`)

  for (const [name, username] of [
    ['argon2', ADMIN.username],
    ['legacy bcrypt', old],
  ] as const) {
    progress(`64 ${name} logins at once beside reads`)
    const idle = await read()
    await service.loopDelay()
    const [busy, signed] = await Promise.all([read(), sign(username)])
    const delay = await service.loopDelay()
    bounded(`GET /items/ beside ${AT_ONCE} ${name} logins: p99, ratio to idle`, busy.p99 / idle.p99, {
      most: 4,
      more: `${digits(busy.p99)} : ${digits(idle.p99)} ms`,
    })
    bounded(`event loop delay meanwhile: p99`, delay, { most: 25, unit: ' ms', more: answered(signed) })
  }
  row('memory held at most', `${digits(service.peak())} MB`)
  await service.stop()
}

const answered = ({ perSecond, statuses }: Loaded) =>
  `${digits(perSecond)} logins a second, ${JSON.stringify(statuses)}`

/** Sign-ins whose clients left are still worked off: waits for them, so that they burden nothing that comes next. */
async function untilDrained(url: string): Promise<void> {
  const [{ path = '', body, ...init }] = login(ADMIN.username) as [Request & { body: string }]
  for (;;) {
    const answer = await fetch(url + path, { ...init, body } as RequestInit)
    if (answer.ok) return
    await pause(100)
  }
}

/** What the cores can hash with nothing else beside, so many at once, and how sign-ins compare. */
interface Ceiling {
  readonly atOnce: number
  readonly seconds: number
  /** Both a second. */
  readonly rounds: { signIns: number; hashes: number }[]
}

/** Measures sign-ins between ceilings: the speed of a machine changes from one minute to the next. */
async function against(ceilings: readonly Ceiling[], signIns: () => Promise<number>): Promise<void> {
  const all = async () => {
    const rates: number[] = []
    for (const { atOnce, seconds } of ceilings) rates.push(await hashing(atOnce, seconds))
    return rates
  }
  let before = await all()
  for (let round = 0; round < ROUNDS; round++) {
    const perSecond = await signIns()
    const after = await all()
    for (const [at, { rounds }] of ceilings.entries())
      rounds.push({ signIns: perSecond, hashes: (before[at]! + after[at]!) / 2 })
    before = after
  }
}

function told({ rounds }: Ceiling) {
  const [signIns, hashes] = [rounds.map((round) => round.signIns), rounds.map((round) => round.hashes)]
  return {
    ratio: median(rounds.map((round) => round.signIns / round.hashes)),
    more: `${digits(median(signIns))} : ${digits(median(hashes))} /s`,
  }
}

/** Hashes a second. */
async function hashing(atOnce: number, seconds: number): Promise<number> {
  const stored = await hash(ADMIN.password, COST)
  const end = performance.now() + seconds * 1000
  const rate = createRate()
  const work = async () => {
    while (performance.now() < end) {
      await verify(stored, ADMIN.password)
      rate.record()
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return rate.perSecond()
}
