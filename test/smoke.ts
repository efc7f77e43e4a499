import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { pbkdf2Sync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, startPostgres } from './support/postgres.ts'
import { followSteps } from './support/resource-steps.ts'
import { ABOUT_RESOURCES } from './support/resource-tests.ts'

/**
 * `npm run test:smoke`: what somebody new does, in an empty clone with an empty environment: the README's commands,
 * signing in, an item, a stop and a second start; the contract, walked over HTTP on both databases; and a resource of
 * their own, added by the steps of docs/resources.md.
 */

/** The walk tries more than anybody is let. */
const walked = { RATE_LIMIT_ENABLED: 'false' }

const { PATH, HOME } = process.env
const bare = { PATH, HOME }
const folder = mkdtempSync(join(tmpdir(), 'groundwork-smoke-'))
const groups: number[] = []
let passed = 0

function seen(what: string, since?: number, atMost?: number) {
  const seconds = since === undefined ? undefined : (Date.now() - since) / 1000
  if (seconds !== undefined && atMost !== undefined && seconds > atMost)
    throw new Error(`${what}: ${seconds.toFixed(1)} s, and ${atMost.toFixed(1)} s are allowed`)
  passed += 1
  console.log(`  ✓ ${what}${seconds === undefined ? '' : `  ${seconds.toFixed(1)} s`}`)
}

/** Work that is always the same, and the milliseconds that it takes on two cores that have nothing else to do. */
const WORK = { rounds: 2_500_000, ms: 500 }

/** How many times as long as there it takes here and now; 1 where it takes less. */
function slowness(): number {
  const since = performance.now()
  pbkdf2Sync('a', 'b', WORK.rounds, 32, 'sha256')
  return Math.max(1, (performance.now() - since) / WORK.ms)
}

/** Does what a machine with nothing else to do has so many seconds for; a slower one has as many times more. */
async function within<T>(atMost: number, what: string, begin: () => Promise<T>): Promise<T> {
  const before = slowness()
  const since = Date.now()
  const result = await begin()
  const took = Date.now() - since
  const slower = Math.max(before, slowness())
  if (slower > 1.2)
    console.log(`  this machine is ${slower.toFixed(1)} times as slow as it is when it is quiet`)
  seen(what, Date.now() - took, atMost * slower)
  return result
}

function run(command: string, args: string[], cwd = folder) {
  execFileSync(command, args, { cwd, env: bare, stdio: ['ignore', 'pipe', 'inherit'] })
}

interface Service {
  url: string
  npm: ChildProcess
}

/** `npm start`; resolves when the service is ready. */
async function start(env: Record<string, string> = {}): Promise<Service> {
  const port = String(await freePort())
  const npm = spawn('npm', ['start'], {
    cwd: folder,
    env: { ...bare, PORT: port, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true, // a group of its own, to see and end all of it
  })
  groups.push(npm.pid ?? 0)
  let text = ''
  npm.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const url = `http://127.0.0.1:${port}`
  for (const end = Date.now() + 60_000; ;) {
    const ready = await fetch(`${url}/health/ready`).then(
      (answer) => answer.ok,
      () => false,
    )
    if (ready) return { url, npm }
    if (Date.now() > end || npm.exitCode !== null) throw new Error(`not ready:\n${text}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

async function stop({ npm }: Service) {
  const since = Date.now()
  const exited = once(npm, 'exit')
  // The process itself, as a supervisor would: npm would end by the signal and say nothing of its child's code.
  process.kill(serverBelow(npm.pid ?? 0), 'SIGTERM')
  const [code] = (await exited) as [number | null]
  if (code !== 0) throw new Error(`exit code ${code}`)
  if (signalGroup(npm.pid ?? 0, 0)) throw new Error('a process of npm start is still there')
  seen('stops on SIGTERM with 0', since, 10)
}

/** @returns whether the group has a process left */
function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-group, signal)
  } catch {
    return false
  }
}

/** The service among the descendants of npm. */
function serverBelow(pid: number): number {
  const list = execFileSync('ps', ['-eo', 'pid=,ppid=,args=']).toString().trim().split('\n')
  const processes = list.map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line)?.slice(1) ?? [])
  const below = new Set([pid])
  for (const [child, parent] of processes) if (below.has(Number(parent))) below.add(Number(child))
  const found = processes.find(
    ([child, , args]) =>
      below.has(Number(child)) && args?.startsWith('node ') && args.includes('dist/server.js'),
  )
  if (!found) throw new Error('npm start runs no server')
  return Number(found[0])
}

async function signIn({ url }: Service) {
  const body = new URLSearchParams({ username: 'admin@example.com', password: 'changethis' })
  const answer = await fetch(`${url}/api/v1/login/access-token`, { method: 'POST', body })
  const { access_token } = (await answer.json()) as { access_token: string }
  return { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' }
}

/** The walker prints a line for each row of the contract, and its own count last. */
function walk({ url }: Service, where: string) {
  const since = Date.now()
  const output = execFileSync('npx', ['tsx', 'test/walk/walk.ts', '--base-url', url], {
    cwd: folder,
  }).toString()
  const [, checks] = /(\d+) passed, 0 failed/.exec(output) ?? []
  if (checks === undefined) throw new Error(output)
  passed += Number(checks)
  console.log(
    `  ✓ the contract, row by row, on ${where}: ${checks} checks  ${((Date.now() - since) / 1000).toFixed(1)} s`,
  )
}

try {
  run('git', ['clone', '--quiet', process.cwd(), folder], process.cwd())
  let since = Date.now()
  run('npm', ['ci', '--silent'])
  seen('npm ci in an empty clone', since)

  const first = await within(10, 'npm start: builds, makes its database, is ready', () => start())
  const headers = await signIn(first)
  const created = await fetch(`${first.url}/api/v1/items/`, {
    method: 'POST',
    headers,
    body: '{"title":"Kept"}',
  })
  const { id } = (await created.json()) as { id: string }
  const read = (service: Service) => fetch(`${service.url}/api/v1/items/${id}`, { headers })
  if ((await read(first)).status !== 200) throw new Error('the item is not there')
  seen('signs in, creates and reads an item')
  await stop(first)

  const second = await within(3, 'npm start again', () => start(walked))
  if ((await read(second)).status !== 200) throw new Error('the item is gone')
  seen('the item and the session are still there')
  walk(second, 'the embedded database')
  await stop(second)

  const server = await startPostgres()
  try {
    const third = await start({ ...walked, DATABASE_URL: server.url })
    walk(third, `PostgreSQL ${server.version}`)
    await stop(third)
  } finally {
    await server.stop()
  }
  since = Date.now()
  followSteps(folder, 'Add a resource')
  run('npm', ['run', 'check'])
  run('npm', ['test', '--', ...ABOUT_RESOURCES])
  seen('a resource of one’s own, added as docs/resources.md says: checks and tests are green', since)
  console.log(`${passed} passed, 0 failed`)
} catch (error) {
  console.error(error)
  console.log(`${passed} passed, 1 failed`)
  process.exitCode = 1
} finally {
  for (const group of groups) signalGroup(group, 'SIGKILL')
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
}
