import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Test, test } from 'tap'
import { folderWith, start, temporaryFolder } from '../support/process.ts'
import { freePort } from '../support/postgres.ts'

/** Prints the CPU time used until the handler of SIGTERM is installed. */
const BEGUN = `
  const before = process.cpuUsage()
  process.on('newListener', (event) => {
    const { user, system } = process.cpuUsage(before)
    if (event === 'SIGTERM') console.log('node is here after ' + (user + system) / 1000 + ' ms')
  })`
const HERE = `data:text/javascript,${encodeURIComponent(BEGUN)}`
/** CPU time until then. Before it, SIGTERM kills the process, or is dropped if it has process id 1. */
const HANDLERS_MS = 60
/** A stop that takes longer than 9 s ends the process with 1. */
const STOP_MS = 8_500
const node = [process.execPath, '--import', HERE, '--enable-source-maps']
const service = [...node, join(process.cwd(), 'dist/server.js')]

/** With process id 1, as in a container: the kernel drops signals that it has no handler for. */
const container = ['unshare', '--fork', '--pid', '--kill-child']
const canUnshare = spawnSync('unshare', ['--fork', '--pid', 'true']).status === 0
const needsUnshare = { skip: !canUnshare && 'needs unshare(1) and its rights' }

/** Starts a program, and sends SIGTERM `afterMs` after the service has begun. */
async function stopped(t: Test, command: string[], folder: string, afterMs: number, env = {}) {
  const [program = '', ...args] = command
  const { PATH, HOME } = process.env
  const child = spawn(program, args, {
    cwd: folder,
    env: { PATH, HOME, PORT: String(await freePort()), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const closed = once(child, 'close')
  t.teardown(() => child.kill('SIGKILL'))
  const begun = () => /node is here after ([\d.]+) ms/.exec(text)?.[1]
  while (begun() === undefined) await once(child.stdout, 'data')
  const handlersMs = Number(begun())
  t.ok(handlersMs < HANDLERS_MS, `signals are heeded after ${handlersMs} ms`)
  await pause(afterMs)
  const told = performance.now()
  process.kill(nodeOf(child, program), 'SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), 15_000)
  const [code, signal] = (await closed) as [number | null, string | null]
  clearTimeout(late)
  return { end: code ?? signal, text, ms: performance.now() - told }
}

function nodeOf({ pid }: ChildProcess, program: string): number {
  if (program !== 'unshare') return pid!
  const node = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'))
  // Process id 0 would signal the whole process group of this test.
  if (!(node > 0)) throw new Error('it has ended')
  return node
}

void test('SIGTERM at any moment of a start ends the process with 0', async (t) => {
  const folder = await folderWith(t, 'migrated')
  for (const afterMs of [60, 250, 700, 1400]) {
    const { end, text } = await stopped(t, service, folder, afterMs)
    t.equal(end, 0, `${afterMs} ms: ${text}`)
    t.notMatch(text, /^\s+at /m, 'without a stack')
  }
})

void test('a container that gets SIGTERM while it starts ends with 0', needsUnshare, async (t) => {
  const folder = await folderWith(t, 'migrated')
  for (const afterMs of [60, 250, 700]) {
    const { end, text } = await stopped(t, [...container, ...service], folder, afterMs)
    t.equal(end, 0, `${afterMs} ms: ${text}`)
  }
})

void test('a container that waits for its database ends with 0 on SIGTERM', needsUnshare, async (t) => {
  const env = { DATABASE_URL: 'postgres://127.0.0.1:1/none' }
  const { end, text } = await stopped(t, [...container, ...service], temporaryFolder(t), 1500, env)
  t.equal(end, 0, text)
})

void test('SIGTERM while the embedded database is created leaves one that the next start can use', async (t) => {
  const folder = temporaryFolder(t)
  const { end, text, ms } = await stopped(t, service, folder, 1000)
  if (ms < STOP_MS) t.equal(end, 0, text)
  else t.equal(end, 1, 'a machine too busy to make it in time')
  await start(t, { folder })
})
