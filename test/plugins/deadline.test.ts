import fastify from 'fastify'
import { test } from 'tap'
import { deadline } from '../../src/plugins/deadline.ts'
import { errors } from '../../src/plugins/errors.ts'
import { reporting } from '../../src/plugins/reporting.ts'

void test('a handler that is stuck is answered for, and what it does later changes nothing', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(reporting, { config: { ENVIRONMENT: 'local' } as never })
  await app.register(errors)
  await app.register(deadline, { withinMs: 100 })
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
    t.same(answer.json(), { detail: 'Service Unavailable' })
  }
  goOn('late')
  t.equal((await app.inject('/quick')).body, 'quick')
})
