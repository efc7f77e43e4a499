import { once } from 'node:events'
import { type Server, type Socket, connect, createServer } from 'node:net'
import type { Test } from 'tap'
import { freePort } from './postgres.ts'

/** A way to a server that can break as networks do: refuse, cut off, or fall silent. */
export interface Proxy {
  /** The server's URL, by way of the proxy. */
  readonly url: string
  /** Takes connections from now on; a new proxy refuses them. */
  open(): Promise<void>
  /** Cuts every connection, and refuses new ones. */
  cut(): Promise<void>
  /** Cuts every connection; new ones are taken. */
  drop(): void
  /** Takes connections, and passes nothing on, until told to speak; or only from where a client says `at`. */
  silence(at?: RegExp): void
  speak(): void
  /** Cuts the next connection that is answered with a command's end, just before it: the rows have come. */
  cutBeforeTheEnd(): void
}

/** A message of PostgreSQL's begins with its kind, a byte, and its length, four. */
const LENGTH_OF_HEADER = 5

/** @param target URL of the server behind */
export async function startProxy(t: Test, target: string): Promise<Proxy> {
  const { hostname, port } = new URL(target)
  const own = await freePort()
  const sockets = new Set<Socket>()
  let server: Server | undefined
  let silent = false
  let silentAt: RegExp | undefined
  let cutsAtEnd = false

  function join(client: Socket) {
    const behind = connect(Number(port), hostname)
    let muted = false
    client.on('data', (bytes) => (muted ||= silentAt?.test(bytes.toString('latin1')) ?? false))
    for (const [from, to] of [
      [client, behind],
      [behind, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => undefined)
      from.on('close', () => (sockets.delete(from), to.destroy()))
      from.on('data', (bytes) => {
        const end = cutsAtEnd && from === behind ? bytes.indexOf('SELECT ') : -1
        if (end >= 0) {
          cutsAtEnd = false
          to.end(bytes.subarray(0, end - LENGTH_OF_HEADER))
        } else if (!silent && !muted) to.write(bytes)
      })
    }
  }
  const proxy: Proxy = {
    url: Object.assign(new URL(target), { host: `127.0.0.1:${own}` }).href,
    async open() {
      server = createServer(join).listen(own, '127.0.0.1')
      await once(server, 'listening')
    },
    async cut() {
      const closed = server && once(server, 'close')
      server?.close()
      server = undefined
      proxy.drop()
      await closed
    },
    drop: () => {
      for (const socket of sockets) socket.destroy()
    },
    silence(at) {
      silent = at === undefined
      silentAt = at
    },
    speak() {
      silent = false
      silentAt = undefined
    },
    cutBeforeTheEnd: () => void (cutsAtEnd = true),
  }
  t.teardown(() => proxy.cut())
  return proxy
}
