import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { join } from 'node:path'
import { freePort } from '../support/postgres.ts'

/** A server in a process of its own, and what the kernel says of it (Linux). */
export interface Server {
  readonly url: string
  readonly child: ChildProcess
  /** Milliseconds from its start until it was ready. */
  readonly readyAfter: number
  /** Seconds of CPU that it has used. */
  cpu(): number
  /** Megabytes that it holds now. */
  rss(): number
  /** Megabytes that it holds once V8 has collected: when it last did by itself is chance. */
  collected(): Promise<number>
  /** Megabytes that it held at most. */
  peak(): number
  /** Milliseconds that its event loop was late at the 99th percentile since it was last asked. */
  loopDelay(): Promise<number>
  stop(): Promise<void>
}

export const SECRET = 'only for measuring, and long enough for it'
export const ADMIN = { username: 'admin@example.com', password: 'not for anything real' }

export interface ServerOptions {
  /** The built service, or the same by hand (baseline.ts). */
  readonly what: 'service' | 'baseline'
  readonly env?: Record<string, string>
  readonly folder?: string
  /** The Node that runs it; this one where left out. */
  readonly node?: string
  /** Further options of Node. */
  readonly flags?: readonly string[]
}

const here = import.meta.dirname

/** The options of Node that `npm start` has. */
function startOptions(): string[] {
  const { scripts } = JSON.parse(readFileSync(join(here, '../../package.json'), 'utf8')) as Package
  return scripts.start.split(' ').filter((word) => word.startsWith('--'))
}
interface Package {
  readonly scripts: { readonly start: string }
}

const TICKS_A_SECOND = 100
const READY_WITHIN_MS = 60_000

/** Starts one, as production does, and waits until it is ready. Log lines are written, to nowhere. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { what, env = {}, folder = process.cwd(), node = process.execPath, flags = [] } = options
  const port = String(await freePort())
  const scripts = {
    service: [...startOptions(), join(here, '../../dist/server.js')],
    baseline: [`--import=${join(here, '../support/typescript.mjs')}`, join(here, 'baseline.ts')],
  }
  const settings = {
    NODE_ENV: 'production',
    ENVIRONMENT: 'production',
    HOST: '127.0.0.1',
    PORT: port,
    SECRET_KEY: SECRET,
    FIRST_SUPERUSER: ADMIN.username,
    FIRST_SUPERUSER_PASSWORD: ADMIN.password,
    RATE_LIMIT_ENABLED: 'false', // one machine asks for all
  }
  const begun = performance.now()
  const child = spawn(node, [...flags, `--import=${join(here, 'loop-delay.mjs')}`, ...scripts[what]], {
    cwd: folder,
    env: { PATH: process.env.PATH, ...settings, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const url = `http://127.0.0.1:${port}`
  for (const end = Date.now() + READY_WITHIN_MS; !(await isReady(url)); await pause(5))
    if (child.exitCode !== null || Date.now() > end) throw new Error(`${what}: not ready`)
  return {
    url,
    child,
    readyAfter: performance.now() - begun,
    cpu: () => cpuOf(child.pid!),
    rss: () => memoryOf(child.pid!, 'VmRSS'),
    async collected() {
      child.send('collect')
      await once(child, 'message')
      return memoryOf(child.pid!, 'VmRSS')
    },
    peak: () => memoryOf(child.pid!, 'VmHWM'),
    async loopDelay() {
      child.send('loop delay')
      const [delay] = (await once(child, 'message')) as [number]
      return delay
    },
    async stop() {
      process.off('exit', kill)
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

const isReady = (url: string) =>
  fetch(`${url}/health/ready`).then(
    (answer) => answer.ok,
    () => false,
  )

/** proc(5): utime and stime are the 14th and 15th field; the second may have spaces, and ends with `)`. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND
}

function memoryOf(pid: number, name: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1]) / 1024
}
