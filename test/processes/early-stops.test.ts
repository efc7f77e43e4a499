import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Test, test } from 'tap'
import { folderWith, start, temporaryFolder } from '../support/process.ts'
import { freePort } from '../support/postgres.ts'

/** Says that Node runs, before it runs the service. */
const HERE = 'data:text/javascript,console.log("node is here")'
const node = [process.execPath, '--import', HERE, '--enable-source-maps']
const service = [...node, join(process.cwd(), 'dist/server.js')]

/** As the first process of a container: the kernel drops signals that it has no handler for. */
const container = ['unshare', '--fork', '--pid', '--kill-child']
const canUnshare = spawnSync('unshare', ['--fork', '--pid', 'true']).status === 0
const needsUnshare = { skip: !canUnshare && 'needs unshare(1) and its rights' }

/** Starts a program, and sends SIGTERM `afterMs` after Node has begun. */
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
  while (!text.includes('node is here')) await once(child.stdout, 'data')
  await pause(afterMs)
  process.kill(nodeOf(child, program), 'SIGTERM')
  const late = setTimeout(() => process.kill(nodeOf(child, program), 'SIGKILL'), 15_000)
  const [code, signal] = (await closed) as [number | null, string | null]
  clearTimeout(late)
  return { end: code ?? signal, text }
}

const nodeOf = ({ pid }: ChildProcess, program: string) =>
  program === 'unshare' ? Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')) : pid!

void test('SIGTERM at any moment of a start ends it in order', async (t) => {
  const folder = await folderWith(t, 'migrated')
  for (const afterMs of [60, 250, 700, 1400]) {
    const { end, text } = await stopped(t, service, folder, afterMs)
    t.equal(end, 0, `${afterMs} ms: ${text}`)
    t.notMatch(text, /^\s+at /m, 'without a stack')
  }
})

void test('a container that is stopped while it starts stops', needsUnshare, async (t) => {
  const folder = await folderWith(t, 'migrated')
  for (const afterMs of [60, 250, 700]) {
    const { end, text } = await stopped(t, [...container, ...service], folder, afterMs)
    t.equal(end, 0, `${afterMs} ms: ${text}`)
  }
})

void test('a container that waits for its database stops at once', needsUnshare, async (t) => {
  const env = { DATABASE_URL: 'postgres://127.0.0.1:1/none' }
  const { end, text } = await stopped(t, [...container, ...service], temporaryFolder(t), 1500, env)
  t.equal(end, 0, text)
})

void test('SIGTERM while the first database is made leaves one that the next start takes', async (t) => {
  const folder = temporaryFolder(t)
  const { end, text } = await stopped(t, service, folder, 1000)
  t.equal(end, 0, text)
  await start(t, { folder })
})
