import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import fastify from 'fastify'
import { test } from 'tap'
import { bodies } from '../../src/http/input/bodies.ts'
import { deadline } from '../../src/http/deadline.ts'
import { ending } from '../../src/http/observe/ending.ts'
import { errors } from '../../src/http/errors.ts'
import { requestLines } from '../../src/http/server-options.ts'
import { reporting } from '../../src/http/observe/reporting.ts'
import { errorBody } from '../support/errors.ts'
import { collectingLogger } from '../support/log-lines.ts'

void test('a handler that does not finish in time is 503, and its late result is discarded', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(reporting, { config: { ENVIRONMENT: 'local' } as never })
  await app.register(errors)
  await app.register(ending)
  await app.register(bodies)
  await app.register(deadline, { withinMs: 300 })
  let goOn!: (late: string) => void
  app.get('/stuck', () => new Promise<string>((resolve) => (goOn = resolve)))
  app.get('/quick', () => 'quick')

  await app.listen({ host: '127.0.0.1', port: 0 }) // as nothing else keeps this process alive
  const stuck = Array.from({ length: 3 }, () => app.inject('/stuck'))
  const quick = await Promise.all(Array.from({ length: 5 }, () => app.inject('/quick')))
  t.same(
    quick.map(({ body }) => body),
    Array.from({ length: 5 }, () => 'quick'),
    'others are answered as ever',
  )
  for (const answer of await Promise.all(stuck)) {
    t.equal(answer.statusCode, 503)
    t.same(answer.json(), errorBody('Service Unavailable'))
  }
  goOn('late')
  t.equal((await app.inject('/quick')).body, 'quick')
})

void test('a slow request body is waited for; one that never ends is 408, logged at level info', async (t) => {
  const { logger, lines } = await collectingLogger()
  const app = fastify({ loggerInstance: logger, logController: requestLines })
  t.teardown(() => app.close())
  await app.register(reporting, { config: { ENVIRONMENT: 'local' } as never })
  await app.register(errors)
  await app.register(ending)
  await app.register(bodies)
  await app.register(deadline, { withinMs: 300, readWithinMs: 4_500 })
  app.post('/slow', { schema: { body: {} } }, ({ body }) => body)
  app.post('/stuck', { schema: { body: {} } }, () => new Promise(() => undefined))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const statuses: number[] = []
  app.onEnded((_request, _reply, status) => void statuses.push(status))

  /** Sends a byte every 100 ms. */
  async function trickle(path: string, bytes: number, promised = bytes) {
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${promised}\r\n\r\n`
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.write(head + '1')
    for (let sent = 1; sent < bytes; sent++) {
      await pause(100)
      socket.write('1')
    }
    const [answer] = (await once(socket.setEncoding('utf8'), 'data')) as [string]
    return answer
  }
  t.match(await trickle('/slow', 6), /^HTTP\/1.1 200 .*111111$/s, 'longer than a handler may take')
  t.match(await trickle('/stuck', 4), /^HTTP\/1.1 503 /, 'a handler has its own time after that')
  lines.length = 0
  const late = await trickle('/slow', 4, 9)
  t.match(
    late,
    /^HTTP\/1.1 408 Request Timeout\r\n.*\{"detail":"Request Timeout","code":"request_timeout"\}$/s,
  )
  t.match(late, /connection: close/i)
  t.same(statuses, [200, 503, 408])
  const told = lines.map((line) => JSON.parse(line) as object)
  t.match(told, [{ level: 30, msg: 'request completed', res: { statusCode: 408 } }])
  t.equal(told.length, 1)
})
