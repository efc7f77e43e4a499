import fastify from 'fastify'
import { test } from 'tap'
import { errors } from '../../src/http/errors.ts'
import { reporting } from '../../src/http/observe/reporting.ts'
import { errorBody } from '../support/errors.ts'
import { collectingLogger } from '../support/log-lines.ts'

const fields = (more: object) => Object.assign(new Error('x'), more)
const trap = new Proxy(new Error('x'), {
  get() {
    throw new Error('not to be looked at')
  },
})
const circle: Record<string, unknown> = { name: 'a circle' }
circle.cause = circle

/** What programs and libraries throw, and what they should not. */
const THROWN: Record<string, unknown> = {
  null: null,
  undefined,
  'a text': 'secret text',
  'an empty text': '',
  'a number': 404,
  'a flag': false,
  'a symbol': Symbol('x'),
  'a large number': 10n,
  'a function': () => 'x',
  'a list': [new Error('x')],
  'an object with a status': { statusCode: 404, message: 'secret text' },
  'an object without a prototype': Object.create(null),
  'a circle': circle,
  'an error without a prototype': Object.setPrototypeOf(new Error('x'), null),
  'an error that can not be changed': Object.freeze(new Error('x')),
  'an error of the platform': new DOMException('x', 'AbortError'),
  'an error of several': new AggregateError([null, 1], 'x'),
  'an error that is its own cause': fields({
    get cause() {
      return this
    },
  }),
  'an error whose fields are no texts': fields({ message: 5, name: null, code: Symbol('x'), stack: {} }),
  'an error whose code is a name of everything': fields({ code: 'constructor' }),
  'an error whose status is none': fields({ statusCode: Number.NaN, validation: 'x' }),
  'an error whose status is a half': fields({ statusCode: 404.5 }),
  'an error that can not be looked at': trap,
}

void test('whatever a handler throws, even null, is a 500 with the usual body and one log line', async (t) => {
  const { logger, lines } = await collectingLogger()
  const app = fastify({ loggerInstance: logger })
  t.teardown(() => app.close())
  await app.register(reporting, { config: { ENVIRONMENT: 'local' } as never })
  await app.register(errors)
  let thrown: unknown
  const raise = () => {
    throw thrown
  }
  app.get('/handler', raise)
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- that is what it is about
  app.get('/promise', () => Promise.reject(thrown))
  app.get('/guard', { onRequest: async () => raise() }, () => 'x')
  app.get('/hook', { preHandler: async () => raise() }, () => 'x')
  let sends = 0
  app.get('/sending', { onSend: async () => void ((sends += 1) === 1 && raise()) }, () => 'x')
  app.get('/sent', (_request, reply) => reply.send(thrown instanceof Error ? thrown : raise()))
  for (const url of ['/handler', '/promise', '/guard', '/hook', '/sending', '/sent'])
    for (const [name, value] of Object.entries(THROWN)) {
      thrown = value
      lines.length = sends = 0
      const answer = await app.inject(url)
      t.equal(answer.statusCode, 500, `${name} in ${url}`)
      t.same(answer.json(), errorBody('Internal Server Error'), `${name} in ${url}`)
      const failed = lines.filter((line) => line.includes('request failed'))
      t.equal(failed.length, 1, `${name} in ${url} is told`)
      t.notMatch(failed.join(''), 'secret text')
    }
})

void test('whatever value is logged, one JSON line is written', async (t) => {
  const { logger, lines } = await collectingLogger()
  const log = logger as unknown as Record<'error' | 'child', (...values: unknown[]) => typeof logger>
  for (const [name, value] of Object.entries(THROWN)) {
    lines.length = 0
    log.error(value)
    log.error(value, 'with a text')
    log.error({ err: value, field: value, list: [value] }, 'as a field')
    log.error('into a text: %s %o %j', value, value, value)
    log.child({ err: value, field: value }).error('of a child')
    t.equal(lines.length, 5, name)
    for (const line of lines) t.match(JSON.parse(line), { level: 50 }, name)
  }
})
