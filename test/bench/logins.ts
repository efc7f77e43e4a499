import { availableParallelism } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { hash, verify } from '@node-rs/argon2'
import { hashSync } from 'bcryptjs'
import type { Request } from 'autocannon'
import { type Loaded, load } from './load.ts'
import { bounded, digits, part, progress, row } from './report.ts'
import { list } from './requests.ts'
import { ADMIN, startServer } from './servers.ts'
import type { World } from './world.ts'

const AT_ONCE = 64
/** Of ceiling, sign-ins, ceiling: the speed of a machine changes from one minute to the next. */
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
  const rounds: { ratio: number; more: string }[] = []
  let before = await ceiling(seconds)
  for (let round = 0; round < ROUNDS; round++) {
    const { perSecond } = await sign(ADMIN.username)
    const after = await ceiling(seconds)
    const limit = (before + after) / 2
    rounds.push({ ratio: perSecond / limit, more: `${digits(perSecond)} : ${digits(limit)} /s` })
    before = after
  }
  const { ratio, more } = rounds.toSorted((a, b) => a.ratio - b.ratio)[Math.floor(ROUNDS / 2)]!
  bounded('logins a second, ratio to the ceiling of argon2', ratio, { least: 0.95, more })

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
    bounded(`event loop delay meanwhile: p99`, delay, { most: 25, unit: ' ms', more: told(signed) })
  }
  row('memory held at most', `${digits(service.peak())} MB`)
  await service.stop()
}

const told = ({ perSecond, statuses }: Loaded) =>
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

/** Hashes a second on all cores, with nothing else beside. */
async function ceiling(seconds: number): Promise<number> {
  const stored = await hash(ADMIN.password, { memoryCost: 65_536, timeCost: 3, parallelism: 4 })
  const begun = performance.now()
  let hashes = 0
  const work = async () => {
    while (performance.now() - begun < seconds * 1000) {
      await verify(stored, ADMIN.password)
      hashes += 1
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return hashes / ((performance.now() - begun) / 1000)
}
