import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'

/** A real PostgreSQL that lives as long as a test run: on loopback alone, in a folder that goes with it. */
export interface ThrowawayPostgres {
  /** Of the maintenance database; test/support/database.ts makes others beside it. */
  readonly url: string
  readonly version: string
  /** Where its files are. */
  readonly folder: string
  /** Ends the server and leaves its files: SIGINT in good order, SIGQUIT as a crash would. */
  halt(signal: NodeJS.Signals): Promise<void>
  /** Starts it again after `halt`, at the same place; resolves when it takes statements. */
  resume(): Promise<void>
  stop(): Promise<void>
}

/**
 * @param more settings of postgresql.conf, beside those that make it fast
 * @param folder where its files go; a temporary one where left out
 * @throws Error that names the fix where PostgreSQL is not installed
 */
export async function startPostgres(
  more: Record<string, string> = {},
  folder = mkdtempSync(join(tmpdir(), 'groundwork-postgres-')),
): Promise<ThrowawayPostgres> {
  const bin = binaries()
  const data = join(folder, 'data')
  const port = await freePort()
  const as = osUser()
  if (as) chownSync(folder, as.uid, as.gid)
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'],
    {
      ...as,
      cwd: folder,
      stdio: 'pipe',
    },
  )
  const settings = {
    listen_addresses: '127.0.0.1',
    fsync: 'off',
    max_connections: '200',
    log_min_messages: 'panic',
    ...more,
  }
  const args = Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])
  const guard = guardOf(folder)
  const run = () => {
    const server = spawn(join(bin, 'postgres'), ['-D', data, '-p', String(port), '-k', folder, ...args], {
      ...as,
      cwd: folder,
      stdio: 'ignore',
    })
    guard.write(`${server.pid}\n`)
    return server
  }
  let server = run()
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const halt = async (signal: NodeJS.Signals) => {
    if (server.exitCode !== null || server.signalCode !== null) return
    server.kill(signal)
    await once(server, 'exit')
  }
  return {
    url,
    folder,
    version: await untilReady(url, server),
    halt,
    async resume() {
      server = run()
      await untilReady(url, server)
    },
    async stop() {
      await halt('SIGQUIT')
      rmSync(folder, { recursive: true, force: true })
      guard.end()
    },
  }
}

/** Ends the server whose id it was told last once this process is gone, were it killed: the pipe closes with it. */
function guardOf(folder: string) {
  const script =
    'while read -r line; do pid=$line; done; [ -d "$0" ] || exit 0; kill -QUIT "$pid"; sleep 1; rm -rf "$0"'
  return spawn('sh', ['-c', script, folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] }).stdin
}

function binaries(): string {
  const versions = '/usr/lib/postgresql'
  const newest = existsSync(versions) ? readdirSync(versions).toSorted((a, b) => Number(b) - Number(a)) : []
  const places = [
    process.env.TEST_POSTGRES_BIN,
    ...newest.map((version) => join(versions, version, 'bin')),
    ...(process.env.PATH ?? '').split(':'),
  ]
  const found = places.find((place) => place && existsSync(join(place, 'initdb')))
  if (found) return found
  throw new Error(
    'No PostgreSQL found: install it (apt-get install postgresql, brew install postgresql), or name its folder in TEST_POSTGRES_BIN',
  )
}

/** PostgreSQL refuses to run as root; the package's own user takes its place. */
export function osUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres']).toString())
  return { uid: id('-u'), gid: id('-g') }
}

/**
 * Ports below those that the system gives whoever asks for any (from 32768 on Linux): one that is free stays so until it
 * is used. Each process begins at another, and takes none twice.
 */
const PORTS = { first: 20_000, count: 12_000, apart: 131 }
let drawn = (process.pid * PORTS.apart) % PORTS.count

/** A port of loopback that is free now, and that no other test is given meanwhile. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.first + drawn
    drawn = (drawn + 1) % PORTS.count
    if (await isFree(port)) return port
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}

async function untilReady(url: string, server: ChildProcess): Promise<string> {
  const deadline = Date.now() + 30_000
  for (;;) {
    const client = postgres(url, { max: 1, connect_timeout: 2 })
    try {
      const [row] = await client`show server_version`
      return String(row?.server_version)
    } catch (error) {
      if (Date.now() > deadline || server.exitCode !== null) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    } finally {
      await client.end()
    }
  }
}
