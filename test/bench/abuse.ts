import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { createHistogram } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { hash } from '@node-rs/argon2'
import { COST } from '../../src/accounts/passwords/passwords.ts'
import { startMailServer } from '../support/mail-server.ts'
import { startPostgres } from '../support/postgres.ts'
import { type Attacker, type Sent, attacks, send } from './attacks.ts'
import { bounded, digits, part, printTable, progress, row } from './report.ts'
import { type Server, startServer } from './servers.ts'
import { type World, makeWorld } from './world.ts'

/**
 * `npm run bench:abuse`: one client at its worst, and what another one on the same service notices: the slowest percent
 * of its lists, its sign-ins, and what it is refused. Each attack takes a minute, `-- --seconds 600` ten; names of attacks run
 * these alone. Linux only: the attacker has an address of loopback of its own.
 */
const args = process.argv.slice(2)
const option = (name: string, fallback: number) => {
  const at = args.indexOf(`--${name}`)
  return at < 0 ? fallback : Number(args.splice(at, 2)[1])
}
const seconds = option('seconds', 60)
const items = option('items', 1_000_000)
const chosen = args.length > 0 ? args : Object.keys(attacks)
const unknown = chosen.filter((name) => !(name in attacks))
if (unknown.length > 0)
  throw new Error(`Attacks are ${Object.keys(attacks).join(', ')}; not ${unknown.join()}`)

const OWN_ITEMS = 90_000
const LISTS_A_SECOND = 25
const SIGN_IN_EVERY_MS = 5_000
const IDLE_SECONDS = 120
const REST_SECONDS = 20
const REST_AFTER_SECONDS = 60
const MEMORY_RATIO = 1.2
const WARM_UP_SECONDS = 10
const PASSWORD = 'not for anything real'

/** Somebody who works: lists a page 25 times a second, signs in every five seconds. */
async function work(url: string, victim: Victim, seconds: number) {
  const times = createHistogram()
  const [lists, signIns]: [Record<string, number>, Record<string, number>] = [{}, {}]
  const asks: Promise<void>[] = []
  const ask = async (sent: Sent, statuses: Record<string, number>, timed: boolean) => {
    const begun = performance.now()
    const { status } = await send(url, sent, { agent: victim.agent })
    if (timed) times.record(Math.max(1, Math.round((performance.now() - begun) * 1000)))
    statuses[status] = (statuses[status] ?? 0) + 1
  }
  const listing = setInterval(() => asks.push(ask(victim.list, lists, true)), 1000 / LISTS_A_SECOND)
  const signingIn = setInterval(() => asks.push(ask(victim.signIn, signIns, false)), SIGN_IN_EVERY_MS)
  await pause(seconds * 1000)
  clearInterval(listing)
  clearInterval(signingIn)
  await Promise.all(asks)
  return { p50: times.percentile(50) / 1000, p99: times.percentile(99) / 1000, lists, signIns }
}

interface Victim {
  readonly email: string
  readonly list: Sent
  readonly signIn: Sent
  readonly agent: Agent
}

/** Gives the people of a world addresses and a password, and one of them as many items as they may have. */
async function cast(world: World): Promise<{ victim: Victim; attacker: Attacker }> {
  const { sql, reader, superuser, writers } = world
  // A user has 100 sessions at most: whoever signs in all the time is another than who lists.
  const [owner, colleague, accomplice] = writers
  const hashed = await hash(PASSWORD, COST)
  const named = async (id: string, email: string) =>
    sql`update users set email = ${email}, hashed_password = ${hashed}, is_verified = true where id = ${id}`
  await named(colleague!.id, 'victim@example.com')
  await named(accomplice!.id, 'attacker@example.com')
  await sql`
    insert into items (title, description, owner_id)
    select 'Item ' || n, 'What there is to say about item ' || n, ${owner!.id}
    from generate_series(1, ${OWN_ITEMS}) n`
  await sql`vacuum analyze items`
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  return {
    victim: {
      email: 'victim@example.com',
      list: { method: 'GET', path: '/api/v1/items/?limit=20', headers: reader.headers },
      signIn: {
        method: 'POST',
        path: '/api/v1/login/access-token',
        headers: form,
        body: new URLSearchParams({ username: 'victim@example.com', password: PASSWORD }).toString(),
      },
      agent: new Agent({ keepAlive: true, maxSockets: 32 }),
    },
    attacker: {
      own: owner!.headers,
      superuser: superuser.headers,
      email: 'attacker@example.com',
      password: PASSWORD,
      victim: 'victim@example.com',
    },
  }
}

/** Attacks while the victim works. @returns what the attacker was answered with */
async function under(name: string, server: Server, attacker: Attacker, work: () => Promise<unknown>) {
  const script = [`--import=${join(import.meta.dirname, '../support/typescript.mjs')}`]
  const child = spawn(
    process.execPath,
    [...script, join(import.meta.dirname, 'attacker.ts'), name, server.url, JSON.stringify(attacker)],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  )
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  await work()
  child.send('stop')
  const [statuses] = (await once(child, 'message')) as [Record<string, number>]
  process.off('exit', kill)
  return statuses
}

const refused = (statuses: Record<string, number>) =>
  Object.entries(statuses).reduce((sum, [status, n]) => sum + (status === '200' ? 0 : n), 0)

execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'ignore' })
const postgresql = await startPostgres({ autovacuum: 'off', shared_buffers: '512MB' })
const mails = await startMailServer({ teardown: () => undefined })
try {
  progress(`seeding ${items} items`)
  const world = await makeWorld(postgresql.url, { users: Math.ceil(items / 10), items })
  const { victim, attacker } = await cast(world)
  const server = await startServer({
    what: 'service',
    env: {
      DATABASE_URL: world.url,
      RATE_LIMIT_ENABLED: 'true',
      FRONTEND_HOST: 'https://app.example.com',
      ...mails.env,
    },
    flags: ['--expose-gc'],
  })
  await work(server.url, victim, 10) // warm
  for (const name of chosen) {
    part(attacks[name]!.title)
    // Whoever signs in every five seconds for an hour is beyond the limit of their own sign-ins.
    await world.sql`delete from rate_limits`
    // What the attack makes the process load and compile once is no growth.
    progress(`${name}: warming up`)
    await under(name, server, attacker, () => pause(WARM_UP_SECONDS * 1000))
    await pause(REST_SECONDS * 1000)
    progress(`${name}: idle`)
    const idle = await work(server.url, victim, IDLE_SECONDS)
    const before = await server.collected()
    progress(`${name}: ${seconds} s of attack`)
    let seen: Awaited<ReturnType<typeof work>> | undefined
    const answered = await under(name, server, attacker, async () => {
      seen = await work(server.url, victim, seconds)
    })
    const { p99, lists, signIns } = seen!
    bounded("another client's lists: p99, ratio to idle", p99 / idle.p99, {
      most: 5,
      more: `${digits(p99)} : ${digits(idle.p99)} ms`,
    })
    bounded('lists refused', refused(lists), { most: 0, more: JSON.stringify(lists) })
    bounded('sign-ins refused', refused(signIns), { most: 0, more: JSON.stringify(signIns) })
    if (name === 'recovery') await recovers(server.url, victim, mails)
    const peak = server.rss()
    progress(`${name}: rest`)
    await work(server.url, victim, REST_AFTER_SECONDS)
    const rested = server.rss()
    const after = await server.collected()
    bounded(`memory after ${REST_AFTER_SECONDS} s of rest and a collection, ratio`, after / before, {
      most: MEMORY_RATIO,
      more: `${digits(before)} MB before, ${digits(peak)} at the end, ${digits(rested)} rested, ${digits(after)} after`,
    })
    row('the attacker was answered', JSON.stringify(answered))
  }
  await server.stop()
  await world.close()
} finally {
  await Promise.all([postgresql.stop(), mails.close()])
}
printTable()

/** Whether the victim gets a working link after strangers asked for theirs all the time. */
async function recovers(url: string, { email }: Victim, server: typeof mails) {
  const { status } = await send(url, { method: 'POST', path: `/api/v1/password-recovery/${email}` })
  await pause(2_000)
  const latest = server.mails.findLast(({ text }) => /reset-password\?token=/.test(text ?? ''))
  const token = /token=([^\s"<]+)/.exec(latest?.text ?? '')?.[1] ?? ''
  const reset = await send(url, {
    method: 'POST',
    path: '/api/v1/reset-password/',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, new_password: PASSWORD }),
  })
  row(
    "the victim's own request for recovery, and the newest link",
    `${status}, ${reset.status}`,
    '200',
    reset.status === 200,
  )
}
