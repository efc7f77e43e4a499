import { connect } from 'node:net'
import type { Test } from 'tap'
import type { App } from '../../src/contract/contract.ts'

/** Listens on a port of its own. */
export async function listen(app: App): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  return typeof address === 'object' && address ? address.port : 0
}

/** Sends bytes that no HTTP client would send. Resolves with all that came back when the service has hung up. */
export function exchange(t: Test, port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    t.teardown(() => socket.destroy())
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text))
    socket.on('error', reject).on('end', () => socket.end())
    socket.on('close', () => resolve(answer))
  })
}

/** Status line and JSON body of an answer as it came over the socket. */
export function parse(answer: string): { status: number; head: string; body: unknown } {
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  return {
    status: Number(head.split(' ')[1]),
    head: head.toLowerCase(),
    body: body.startsWith('{') ? JSON.parse(body) : body,
  }
}

/** A request that promises more than it sends. */
export const UNFINISHED =
  'POST /api/v1/users/signup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{'
