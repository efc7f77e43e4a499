import { errorText } from '../support/errors.ts'
import type { Answer } from './client.ts'
import { otherSlash, UNKNOWN_ID, type Row } from './context.ts'
import { operations } from './table.ts'

/** What holds on all routes, and the few paths outside the table. */
export const protocol: Row[] = [
  {
    operation: 'pages and health',
    async walk({ check, send }) {
      const home = await send('GET', '/')
      const target = new URL(home.headers.location ?? '', 'http://here/').pathname
      check.holds(
        '/ leads to /docs',
        home.status > 300 && home.status < 400 && /^\/docs\/?$/.test(target),
        '3xx to /docs',
        home.headers.location,
      )
      let docs: Answer = await send('GET', '/docs')
      if (docs.status > 300 && docs.status < 400)
        docs = await send('GET', new URL(docs.headers.location ?? '', 'http://here/docs').pathname)
      check.holds(
        '/docs is Swagger UI',
        docs.status === 200 && /swagger/i.test(docs.text),
        '200 with Swagger UI',
        docs,
      )
      for (const path of ['/health/live', '/health/ready', '/health/live/', '/health/ready/'])
        check.status(path, await send('GET', path), 200)
    },
  },
  {
    operation: '404 and 405',
    async walk({ api, cast, check, send }) {
      for (const path of [
        '/nothing',
        '/api/v1',
        '/api/v1/nothing',
        '/api/v1/items/a/b',
        '/api/v1/users/me/nothing',
      ])
        check.error(`404 ${path}`, await send('GET', path), 404, 'Not Found')
      check.error(
        '404 whatever the body',
        await api('POST', '/nothing', { type: 'application/json', body: '{' }),
        404,
        'Not Found',
      )
      for (const path of new Set(operations.map((operation) => operation.path))) {
        const has = operations.filter((one) => one.path === path).map(({ method }) => method)
        const method = ['PUT', 'PATCH', 'POST'].find((one) => !has.includes(one)) ?? 'TRACE'
        const at = path.replace('{email}', 'a@example.com').replaceAll(/\{\w+\}/g, UNKNOWN_ID)
        const answer = await api(method, at)
        check.error(`405 ${method} ${path}, before 401`, answer, 405, 'Method Not Allowed')
        // A fixed path may show methods of the path with an id that it is a case of, too.
        const over = path === '/users/signup' ? ['GET', 'PATCH', 'DELETE'] : []
        check.holds(
          `Allow ${path}`,
          allows(answer, has, ['HEAD', 'OPTIONS', ...over]),
          has.join(', '),
          answer.headers.allow,
        )
        check.error(`405 ${otherSlash(path)}`, await api(method, otherSlash(at), { as: cast.admin }), 405)
      }
    },
  },
  {
    operation: 'headers',
    async walk({ api, cast, check, client, send }) {
      const origin = { origin: 'https://elsewhere.example' }
      const [first, second] = [
        await api('GET', '/utils/health-check/', { headers: origin }),
        await api('GET', '/utils/health-check/'),
      ]
      check.holds(
        'each request has its own X-Request-Id',
        first.headers['x-request-id'] !== second.headers['x-request-id'],
        'two ids',
        second.headers,
      )
      const preflight = { ...origin, 'access-control-request-method': 'PATCH' }
      for (const answer of [first, await api('OPTIONS', '/users/me', { headers: preflight })])
        check.equal(
          `no CORS for a foreign origin: ${answer.call}`,
          answer.headers['access-control-allow-origin'],
          undefined,
        )
      for (const path of [
        '/health/live',
        '/api/v1/utils/health-check/',
        '/api/v1/items/',
        '/api/v1/users/me',
      ]) {
        const answer = await send('HEAD', path, { as: cast.admin })
        check.equal(`HEAD ${path}`, [answer.status, answer.text], [200, ''])
      }
      check.status('HEAD asks for a token too', await api('HEAD', '/items/'), 401)
      const malformed = await client.raw('GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n')
      const fits = malformed.startsWith('HTTP/1.1 400 ') && malformed.endsWith(errorText('Bad Request'))
      check.holds('a request that is no HTTP', fits, errorText('Bad Request'), malformed)
    },
  },
]

function allows(answer: Answer, needed: string[], besides: string[]) {
  const came = (answer.headers.allow ?? '').split(',').map((method) => method.trim())
  return (
    needed.every((method) => came.includes(method)) &&
    came.every((method) => [...needed, ...besides].includes(method))
  )
}
