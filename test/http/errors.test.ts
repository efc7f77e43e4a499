import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { codeOf } from '../support/errors.ts'
import { ask, noDatabase, startWithoutData } from '../support/no-database.ts'
import { type Person, type Request, startService } from '../support/service.ts'

type Case = [
  status: number,
  detail: string | { loc: string[] }[],
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  request?: Request,
]

const broken = '{"broken'
const huge = JSON.stringify({ filler: 'x'.repeat(1024 * 1024) })
const json = { 'content-type': 'application/json' }
const text = { 'content-type': 'text/plain' }

void test('error answers', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { admin, call, rows } = service
  const [owner, other] = [await service.person(), await service.person()]
  const { body: paper } = await call('POST', '/papers/', { as: owner, body: { title: 'Engine' } })
  const garbage = { ...owner, token: 'garbage' } satisfies Person

  await t.test(
    'where several errors apply, the answer is the one that the contract names first',
    async (t) => {
      const unknown = randomUUID()
      const all = { body: broken, headers: text }
      const privileges = "The user doesn't have enough privileges"
      const unsigned = 'Not authenticated'
      const cases: Case[] = [
        [404, 'Not Found', 'POST', '/nothing', { as: garbage, ...all }],
        [404, 'Not Found', 'POST', '/users/me/nothing', { body: huge, headers: json }],
        [405, 'Method Not Allowed', 'POST', '/users/me', { as: garbage, ...all }],
        [405, 'Method Not Allowed', 'PATCH', '/papers/x', { body: huge, headers: json }],
        [401, unsigned, 'PATCH', '/users/x', all],
        [401, unsigned, 'POST', '/papers/', { body: huge, headers: json }],
        [401, unsigned, 'GET', '/users/?skip=x'],
        [401, unsigned, 'PUT', `/papers/${paper.id}`, { body: {} }],
        [401, 'Could not validate credentials', 'PATCH', '/users/x', { as: garbage, ...all }],
        [403, privileges, 'PATCH', '/users/x', { as: owner, ...all }],
        [403, privileges, 'POST', '/users/', { as: owner, body: huge, headers: json }],
        [403, privileges, 'DELETE', `/users/${unknown}`, { as: owner }],
        [413, 'Payload Too Large', 'PATCH', '/users/x', { as: admin, body: huge, headers: json }],
        [415, 'Unsupported Media Type', 'PATCH', '/users/x', { as: admin, ...all }],
        [400, 'The body could not be read', 'PATCH', '/users/x', { as: admin, body: broken, headers: json }],
        [422, [{ loc: ['path', 'user_id'] }], 'PATCH', '/users/x', { as: admin, body: { email: 5 } }],
        [422, [{ loc: ['body', 'email'] }], 'PATCH', `/users/${unknown}`, { as: admin, body: { email: 5 } }],
        [422, [{ loc: ['body', 'title'] }], 'PUT', `/papers/${paper.id}`, { as: other, body: { title: 5 } }],
        [422, [{ loc: ['body', 'title'] }], 'PUT', `/papers/${unknown}`, { as: other, body: { title: 5 } }],
        [403, 'Not enough permissions', 'PUT', `/papers/${paper.id}`, { as: other, body: {} }],
        [
          404,
          'The user with this id does not exist in the system',
          'PATCH',
          `/users/${unknown}`,
          { as: admin, body: { email: owner.email } },
        ],
        [
          409,
          'User with this email already exists',
          'PATCH',
          '/users/me',
          { as: other, body: { email: owner.email } },
        ],
      ]
      for (const [status, detail, method, path, request] of cases) {
        const answer = await call(method, path, request)
        const { detail: told, code, ...more } = answer.body
        t.equal(answer.status, status, `${status} ${method} ${path}`)
        t.strictSame(Array.isArray(told) ? told.map(({ loc }: { loc: unknown }) => ({ loc })) : told, detail)
        t.equal(code, typeof detail === 'string' ? codeOf(detail) : 'validation_error')
        t.same(more, {}, 'and nothing more')
        t.ok(answer.headers['x-request-id'], 'with the id to quote')
      }
    },
  )

  await t.test('a path without a route is 404, whatever the method', async (t) => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const)
      for (const path of ['/nothing', '/users/me/nothing', '/api/v1', '/api/v2/papers/'])
        isAnswer(t, await call(method, path), 404, 'Not Found', `${method} ${path}`)
    const link = await call('OPTIONS', '/nothing?token=secret')
    t.notMatch(link.text, 'secret', 'and does not hear its own words again')
  })

  await t.test('an internal error is 500 without details, and later requests work again', async (t) => {
    await rows(
      sql`create function secret_rule() returns trigger language plpgsql as
        $$ begin raise exception 'secret rule of %', new; end $$`,
    )
    await rows(
      sql`create trigger secret_rule before insert or update on papers
        for each row when (new.title = 'secret title') execute function secret_rule()`,
    )
    const body = { title: 'secret title', description: 'secret text' }
    const requests = [
      ['POST', '/papers/'],
      ['PUT', `/papers/${paper.id}`],
    ] as const
    for (const [method, path] of requests) {
      const answer = await call(method, path, { as: owner, body })
      isAnswer(t, answer, 500, 'Internal Server Error', method)
      t.match(answer.headers['x-request-id'], /^[\w-]{36}$/)
      t.notMatch(JSON.stringify(answer.headers), /secret|papers|constraint|drizzle/i)
    }
    await rows(sql`drop function secret_rule() cascade`)
    t.equal((await call('PUT', `/papers/${paper.id}`, { as: owner, body })).status, 200, 'it works again')
  })
})

void test('while the database is unavailable, requests are 503 with Retry-After', async (t) => {
  let code: string | undefined
  const app = await startWithoutData(
    t,
    {},
    noDatabase(() =>
      code === undefined ? undefined : Object.assign(new Error('secret at 10.0.0.5'), { code }),
    ),
  )
  const authorization = `Bearer ${app.jwt.sign({ sub: randomUUID(), sid: randomUUID() })}`
  const requests = [
    { method: 'POST', url: '/api/v1/password-recovery/ada@example.com' },
    { method: 'GET', url: '/api/v1/users/me', headers: { authorization } },
    { method: 'DELETE', url: `/api/v1/papers/${randomUUID()}`, headers: { authorization } },
  ] as const
  for (code of ['ECONNREFUSED', 'ENOTFOUND', 'CONNECT_TIMEOUT', '57P01', '53300', '40001', '55P03', '25006'])
    for (const request of requests) {
      const answer = await ask(app, request)
      isAnswer(t, answer, 503, 'Service Unavailable', `${code} ${request.url}`)
      t.equal(answer.headers['retry-after'], '1')
    }
  for (code of ['42P01', '42501', '22001', 'XX000', 'ERR_ASSERTION'])
    isAnswer(t, await ask(app, requests[0]), 500, 'Internal Server Error', `${code} does not pass by waiting`)
  code = undefined
  isAnswer(t, await ask(app, requests[1]), 401, 'Could not validate credentials', 'it is back')
})
