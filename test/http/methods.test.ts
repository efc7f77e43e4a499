import { METHODS, request } from 'node:http'
import { text as readAll } from 'node:stream/consumers'
import { test } from 'tap'
import { asksForToken, isAnswer } from '../support/answers.ts'
import { documentOf, operationsOf } from '../support/document.ts'
import { errorBody, errorText } from '../support/errors.ts'
import { ask, startWithoutData } from '../support/no-database.ts'
import { listen } from '../support/sockets.ts'

const pages = ['/', '/docs', '/health/live', '/health/ready', '/api/v1/openapi.json']

void test('methods', async (t) => {
  const app = await startWithoutData(t)
  const document = documentOf(app)
  const documented = Object.entries(document.paths).map(([path, operations]) => {
    const each = operationsOf({ ...document, paths: { [path]: operations } })
    const methods: string[] = each.map(({ method }) => method)
    const guarded = each.some(({ method, operation }) => method === 'GET' && operation.security.length > 0)
    return { path: each[0]!.url, methods, guarded }
  })
  const all = [...documented, ...pages.map((path) => ({ path, methods: ['GET'], guarded: false }))]
  t.ok(documented.length > 10, 'the document names the paths')

  await t.test('an unsupported method is 405 with Allow, before token and body are checked', async (t) => {
    for (const { path, methods } of all) {
      const allowed = methods.includes('GET') ? [...methods, 'HEAD'] : methods
      for (const verb of ['GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'QUERY'] as const) {
        if (allowed.includes(verb)) continue
        const answer = await ask(app, {
          method: verb,
          url: path,
          headers: { authorization: 'Bearer garbage', 'content-type': 'text/plain' },
          ...(verb !== 'HEAD' && verb !== 'GET' && { payload: '{' }),
        })
        const message = `${verb} ${path}`
        t.equal(answer.status, 405, message)
        if (verb !== 'HEAD') t.strictSame(answer.body, errorBody('Method Not Allowed'), message)
        t.strictSame(answer.headers.allow?.toString().split(', '), allowed.toSorted(), message)
      }
    }
  })

  await t.test('a path is served with and without a trailing slash', async (t) => {
    for (const { path } of all.filter(({ path }) => path !== '/')) {
      const other = path.endsWith('/') ? path.slice(0, -1) : `${path}/`
      const answer = await ask(app, { method: 'OPTIONS', url: other })
      isAnswer(t, answer, 405, 'Method Not Allowed', other)
    }
  })

  await t.test('a fixed path wins over a pattern: GET /users/signup is 405', async (t) => {
    for (const method of ['GET', 'PATCH', 'DELETE'] as const)
      isAnswer(t, await ask(app, { method, url: '/api/v1/users/signup' }), 405, 'Method Not Allowed', method)
  })

  await t.test('fault 11: HEAD is GET without a body, and needs a token where GET does', async (t) => {
    for (const { path, methods, guarded } of all.filter(({ methods }) => methods.includes('GET'))) {
      const [get, head] = [
        await ask(app, { method: 'GET', url: path }),
        await ask(app, { method: 'HEAD', url: path }),
      ]
      t.equal(head.status, get.status, `${methods.join()} ${path}`)
      t.equal(head.text, '')
      if (guarded) asksForToken(t, get)
      t.equal(head.headers['www-authenticate'], get.headers['www-authenticate'])
    }
  })

  await t.test('rare methods such as PROPFIND are 405, and 404 where there is no route', async (t) => {
    const port = await listen(app)
    const over = (method: string, path: string) =>
      new Promise<{ status: number | undefined; allow: string | undefined; text: string }>(
        (resolve, reject) => {
          const sent = request({ host: '127.0.0.1', port, method, path, agent: false }, (response) => {
            const { statusCode: status, headers } = response
            readAll(response).then((text) => resolve({ status, allow: headers.allow, text }), reject)
          })
          sent.on('error', reject).end()
        },
      )
    for (const method of METHODS.filter((one) => !['GET', 'HEAD', 'POST', 'CONNECT'].includes(one))) {
      const expected = { status: 405, allow: 'GET, HEAD, POST', text: errorText('Method Not Allowed') }
      t.strictSame(await over(method, '/api/v1/papers/'), expected, method)
    }
    for (const method of ['TRACE', 'PROPFIND', 'OPTIONS', 'M-SEARCH'])
      t.match(await over(method, '/nothing'), { status: 404, text: errorText('Not Found') }, method)
  })
})

void test('a path longer than that of any route is 404; a long query does not matter', async (t) => {
  const app = await startWithoutData(t)
  const statusOf = async (url: string) => (await app.inject(url)).statusCode
  t.equal(await statusOf(`/${'%25'.repeat(8000)}`), 404)
  t.equal(await statusOf(`/docs/static/${'a'.repeat(20_000)}`), 404)
  t.equal(await statusOf(`/api/v1/utils/health-check/?${'a'.repeat(20_000)}`), 200)
})
