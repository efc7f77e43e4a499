import { test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { readConfig } from '../../src/config/config.ts'
import { isAnswer } from '../support/answers.ts'
import { production } from '../support/environments.ts'
import { errorBody } from '../support/errors.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { ask, noDatabase, startWithoutData } from '../support/no-database.ts'
import { exchange, listen, parse } from '../support/sockets.ts'

const get = (path: string, headers = '') =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers}\r\n`

void test('HTTP over a socket', async (t) => {
  // Outside local, where any host is served.
  const app = await startWithoutData(t, {
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
  })
  const port = await listen(app)
  const send = async (bytes: string | Buffer) => parse(await exchange(t, port, bytes))
  const says = (status: number, detail: string) => ({ status, body: errorBody(detail) })

  await t.test('fault 11: no spelling of a path gets around authentication', async (t) => {
    const guarded = [
      '/api/v1/papers/',
      '/api/v1/papers',
      '/api/v1/%70apers/',
      '/api/v1/papers?x',
      '/api/v1/papers/#x',
      '/api/v1/papers//',
    ]
    for (const path of [
      ...guarded,
      'http://evil.example/api/v1/papers/',
      '/api/v1/users/%6de',
      '/api/v1/users/me/sessions',
      '/api/v1/users/me/sessions/',
      '/api/v1/users/%6de/%73essions?x',
      '/api/v1/%75sers/me/sessions#x',
      '/api/v1/users/me%2Fsessions',
      '/api/v1/users/%2e%2e',
    ])
      t.match(await send(get(path)), says(401, 'Not authenticated'), path)
    const elsewhere = [
      '//api/v1/papers/',
      '/api//v1/papers/',
      '/api/v1//papers/',
      '/api/v1%2Fitems/',
      '/api/v1/papers;x=1',
      '/api/v1/papers/x/;y',
      '/api/v1/./papers/',
      '/api/v1/x/../papers/',
      '/API/V1/PAPERS/',
      '/api/v1/users//me/sessions',
      '/api/v1/users/me/sessions;x=1',
      '/api/v1/users/me/../me/sessions',
      '//api/v1/users/me/sessions',
      '/api/v1/papers%20',
      '/api/v1/papers%5C',
      '/api/v1/papers%00',
    ]
    for (const path of elsewhere) t.match(await send(get(path)), says(404, 'Not Found'), path)
    t.match(await send(get('*api/v1/papers/')), { status: /40[014]/ })

    const id = '00000000-0000-4000-8000-000000000000'
    for (const path of ['sessions', 'sessions/', '%73essions', `sessions/${id}`, `%73essions/${id}/`]) {
      const ending = get(`/api/v1/users/me/${path}`).replace('GET', 'DELETE')
      t.match(await send(ending), says(401, 'Not authenticated'), ending)
      t.equal((await send(ending.replace('DELETE', 'HEAD'))).status, path.includes(id) ? 405 : 401)
    }
    // An address is verified by POST to its own path only.
    const use = (method: string, path: string) => send(get(path).replace('GET', method))
    for (const path of ['/api/v1/verify-email/', '/api/v1/verify-email', '/api/v1/%76erify-email/?x']) {
      t.equal((await use('POST', path)).status, 422, `${path} is the route`)
      for (const method of ['GET', 'HEAD', 'PUT']) t.equal((await use(method, path)).status, 405, path)
    }
    for (const path of [
      '//api/v1/verify-email/',
      '/api/v1//verify-email',
      '/api/v1/verify-email;x',
      '/api/v1/verify-email%2F',
    ])
      t.equal((await use('POST', path)).status, 404, path)
  })

  await t.test('an address of 255 characters in a path is accepted, a longer one is 422', async (t) => {
    const address = (length: number) => `${'a'.repeat(60)}@${'b.'.repeat(length).slice(0, length - 64)}.co`
    const recover = async (email: string) =>
      send(`POST /api/v1/password-recovery/${email} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    t.equal((await recover(address(255))).status, 200, 'an address of 255 characters')
    for (const length of [256, 300, 4000]) t.equal((await recover(address(length))).status, 422, `${length}`)
    for (const length of [255, 256, 8000])
      t.match(
        await send(get(`/api/v1/papers/${'a'.repeat(length)}`)),
        says(401, 'Not authenticated'),
        `${length}`,
      )
    t.match(await send(get(`/api/v1/papers/${'a'.repeat(20_000)}`)), {
      status: /^4/,
      body: { detail: String, code: String },
    })
  })

  await t.test('a malformed percent-encoding in a path is 400, with a request id', async (t) => {
    for (const path of [
      '/api/v1/papers/%zz',
      '/api/v1/papers/%',
      '/%C3%28',
      '/api/v1/users/%ff',
      '/%E0%A4%A',
    ]) {
      const answer = await send(get(path))
      t.match(answer, says(400, 'Bad Request'), path)
      t.match(answer.head, /\r\nx-request-id: \S{8,}/)
    }
    t.equal((await send(get('/api/v1/utils/health-check/?x=%zz'))).status, 200, 'where it is read')
  })

  await t.test('the 400 for an unreadable path has the headers of any other answer', async (t) => {
    const usual = (await send(get('/nowhere'))).head.split('\r\n').map((line) => line.split(':', 1)[0])
    for (const path of ['/%zz', '/%ff', '/api/v1/papers/%ed%a0%80', 'http://localhost/%ff', '*%ff']) {
      const { status, head, body } = await send(get(path))
      t.same({ status, body }, says(400, 'Bad Request'), path)
      t.same(
        head
          .split('\r\n')
          .map((line) => line.split(':', 1)[0])
          .slice(1),
        usual.slice(1),
        path,
      )
      t.match(head, /\r\ncache-control: no-store\r\n/)
    }
    const long = await send(get(`/api/v1/papers/${'a'.repeat(20_000)}`))
    t.match(long.head, /\r\ncache-control: no-store\r\n/, 'nor one that is too long')
    t.equal((await send(Buffer.from(get('/api/v1/utils/health-check/?x=\xe9'), 'latin1'))).status, 400)
    t.equal((await send(get('/api/v1/papers/é'))).status, 400, 'nothing but ASCII is HTTP')
  })

  await t.test('malformed HTTP is 400, and a head that is too long 431, as a JSON error', async (t) => {
    const noise: Record<string, string | Buffer> = {
      words: 'hello there\r\n\r\n',
      'a TLS handshake': Buffer.from('160301020001000100', 'hex'),
      'a header without a colon': get('/', 'no colon\r\n'),
      'two lengths': get('/', 'Content-Length: 1\r\nContent-Length: 2\r\n'),
      'a length and chunks': get('/', 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'),
      'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'an unknown method': get('/').replace('GET', 'FETCH'),
    }
    for (const [name, bytes] of Object.entries(noise)) {
      const answer = await send(bytes)
      t.match(answer, says(400, 'Bad Request'), name)
      t.match(answer.head, 'content-type: application/json')
    }
    const overflow = says(431, 'Request Header Fields Too Large')
    t.match(await send(get('/', `X-Filler: ${'x'.repeat(40_000)}\r\n`)), overflow)
    t.match(await send(get(`/${'x'.repeat(40_000)}`)), overflow)
  })

  await t.test('a missing Host is 400 and an unknown Expect is 417, as a JSON error', async (t) => {
    const noHost = await send('GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n')
    t.match(noHost, { status: 400, body: errorBody('Bad Request') }, 'no Host (RFC 9112, section 3.2)')
    const expecting = await send(get('/health/live', 'Expect: a miracle\r\n'))
    t.match(expecting, says(417, 'Expectation Failed'), 'an expectation that nobody meets')
    t.match(expecting.head, /\r\nx-request-id: \S{8,}/)
    t.match(expecting.head, /\r\ncache-control: no-store\r\n/, 'as safely as any other')
    t.equal((await send(get('/health/live', 'Expect: x\r\n').replace('1.1', '1.0'))).status, 200, 'RFC 9110')
    const continued = await exchange(t, port, get('/health/live', 'Expect: 100-continue\r\n'))
    t.match(continued.match(/^HTTP.*$/gm), [/ 100 Continue/, / 200 OK/])
  })

  await t.test('requests that a proxy could read differently are 400 (request smuggling)', async (t) => {
    const path = '/api/v1/reset-password/'
    const post = (headers: string, body = '') =>
      send(`POST ${path} HTTP/1.1\r\nConnection: close\r\n${headers}\r\n${body}`)
    const json = 'Host: localhost\r\nContent-Type: application/json\r\n'
    const chunks = '2\r\n{}\r\n0\r\n\r\n'
    t.match(await post(`${json}Content-Length: 2\r\n`, '{}'), { status: 422 }, 'one of each is served')
    t.match(await post(`${json}Transfer-Encoding: chunked\r\n`, chunks), { status: 422 }, 'in chunks too')
    const cases: Record<string, [headers: string, body?: string]> = {
      'two hosts': ['Host: localhost\r\nHost: b\r\n'],
      'the same host twice': ['Host: localhost\r\nhOST: localhost\r\n'],
      'two types': [`${json}content-type: text/plain\r\nContent-Length: 2\r\n`, '{}'],
      'two equal lengths': [`${json}Content-Length: 2\r\nContent-Length: 2\r\n`, '{}'],
      'two lengths in one': [`${json}Content-Length: 2, 2\r\n`, '{}'],
      'a length with a sign': [`${json}Content-Length: +2\r\n`, '{}'],
      'a length in hexadecimal': [`${json}Content-Length: 0x2\r\n`, '{}'],
      'a length and chunks': [`${json}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n`, chunks],
      'chunks twice': [`${json}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n`, chunks],
      'chunks and something else': [`${json}Transfer-Encoding: chunked, identity\r\n`, chunks],
      'an unknown encoding': [`${json}Transfer-Encoding: xchunked\r\n`, chunks],
      'a space before the colon': [`${json}Transfer-Encoding : chunked\r\n`, chunks],
      'a header over two lines': [`${json}X-A: b\r\n c\r\nContent-Length: 2\r\n`, '{}'],
      'a chunk that ends with a line feed alone': [`${json}Transfer-Encoding: chunked\r\n`, '2\n{}\n0\n\n'],
      'a chunk of a size that is none': [`${json}Transfer-Encoding: chunked\r\n`, '2_\r\n{}\r\n0\r\n\r\n'],
    }
    for (const [name, [headers, body]] of Object.entries(cases))
      t.match(await post(headers, body), says(400, 'Bad Request'), name)
    const [bad, first] = [says(400, 'Bad Request'), 'GET /health/live HTTP/1.1\r\nConnection: close\r\n']
    t.match(await send(`${first}Host: localhost\r\nHost: b\r\n\r\n`), bad, 'where there is no body either')
    t.match(
      await send(`${first.replace('1.1', '1.0')}Host: localhost\r\nHost: b\r\n\r\n`),
      bad,
      'from old clients',
    )
    for (const host of ['localhost:8000', '[::1]:8000', '127.0.0.1'])
      t.match(await send(`${first}Host: ${host}\r\n\r\n`), { status: 200 }, `a good host: ${host}`)
  })

  await t.test('HTTP/1.0 and Upgrade: h2c requests are served', async (t) => {
    t.match(await send('GET /health/live HTTP/1.0\r\n\r\n'), { status: 200, body: { status: 'live' } })
    t.match(await send(get('/health/live', 'Upgrade: h2c\r\n')), { status: 200 })
  })
})

void test('fault 26: slow headers, slow bodies and idle connections are closed', async (t) => {
  const app = await startWithoutData(t)
  const { server } = app
  for (const name of ['headersTimeout', 'requestTimeout', 'timeout', 'keepAliveTimeout'] as const)
    t.ok(server[name] > 0 && server[name] <= 75_000, `${name} is bounded`)
  // Shorter, so that the test is quick.
  Object.assign(server, {
    headersTimeout: 500,
    requestTimeout: 1_000,
    timeout: 1_500,
    keepAliveTimeout: 500,
    connectionsCheckingInterval: 20,
  })
  const port = await listen(app)
  const late = { status: 408, body: errorBody('Request Timeout') }
  t.match(parse(await exchange(t, port, 'GET / HTTP/1.1\r\nHost: localhost\r\n')), late, 'slow headers')
  const post =
    'POST /api/v1/reset-password/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
  t.match(parse(await exchange(t, port, `${post}Content-Length: 9\r\n\r\n{`)), late, 'a slow body')
  t.match(parse(await exchange(t, port, '')), late, 'no word at all')
  const idle = await exchange(t, port, 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n')
  t.match(parse(idle), { status: 200 }, 'nothing more after an answer')
})

void test('every answer has an X-Request-Id: a trusted proxy’s if well-formed, else a new one', async (t) => {
  const app = await startWithoutData(t, { TRUST_PROXY: '127.0.0.1' })
  const idOf = async (id: string | undefined, url = '/health/live') =>
    (await ask(app, { url, headers: id === undefined ? {} : { 'x-request-id': id } })).headers['x-request-id']
  for (const id of ['12345678', 'Trace_42-a', 'x'.repeat(64)])
    for (const url of ['/health/live', '/nothing', '/api/v1/users/me', '/%zz'])
      t.equal(await idOf(id, url), id, url)
  const others = [
    '',
    'short',
    'x'.repeat(65),
    'has space',
    '<script>x</script>',
    'a,b,c,d,e',
    'é'.repeat(8),
    undefined,
  ]
  const made = await Promise.all(others.map((id) => idOf(id)))
  for (const id of made) t.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  t.equal(new Set(made).size, made.length, 'each has its own')

  const given = { 'x-request-id': 'of-somebody-else' }
  const stranger = { url: '/health/live', headers: given, remoteAddress: '192.0.2.1' }
  t.not((await ask(app, stranger)).headers['x-request-id'], given['x-request-id'], 'not of strangers')
  t.equal(
    (await ask(app, { ...stranger, remoteAddress: '::ffff:127.0.0.1' })).headers['x-request-id'],
    'of-somebody-else',
  )
  const direct = await startWithoutData(t)
  t.not(
    (await ask(direct, { url: '/health/live', headers: given })).headers['x-request-id'],
    'of-somebody-else',
  )
})

void test('fault 18: X-Forwarded-For is believed from trusted proxies only', async (t) => {
  const PEER = '127.0.0.1'
  const cases: [trusted: string, forwarded: string, ip: string][] = [
    ['', '6.6.6.6', PEER],
    ['10.0.0.0/8', '6.6.6.6', PEER],
    ['127.0.0.1', '6.6.6.6', '6.6.6.6'],
    ['127.0.0.1', '6.6.6.6, 7.7.7.7', '7.7.7.7'],
    ['127.0.0.0/8, 10.0.0.0/8', '6.6.6.6, 7.7.7.7, 10.1.2.3', '7.7.7.7'],
    ['["127.0.0.1/32"]', '2001:db8::1', '2001:db8::1'],
    ['127.0.0.1, 10.0.0.6', '203.0.113.7, 10.0.0.6:4321', '203.0.113.7'],
    ['127.0.0.1', '"[2001:db8::7]:4321"', '2001:db8::7'],
    ['127.0.0.1', '6.6.6.6, unknown', PEER],
  ]
  for (const [TRUST_PROXY, forwarded, ip] of cases) {
    const { logger, lines } = await collectingLogger()
    const config = readConfig({
      ENVIRONMENT: 'staging',
      DATABASE_URL: 'postgres://127.0.0.1/unused',
      SECRET_KEY: 'only for tests, and long enough for that',
      TRUST_PROXY,
    })
    const app = await buildApp(config, { connection: noDatabase(), logger })
    t.teardown(() => app.close())
    const headers = {
      'x-forwarded-for': forwarded,
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
      'x-real-ip': '6.6.6.6',
      forwarded: 'for=6.6.6.6;host=evil.example',
      host: 'evil.example',
    }
    const home = await ask(app, { url: '/', headers, remoteAddress: PEER })
    t.equal(home.headers.location, '/docs', 'nobody is led to a host that the request named')
    const incoming = lines.find((line) => line.includes('request completed'))
    t.equal(
      (JSON.parse(incoming ?? '{}') as { req?: { ip: string } }).req?.ip,
      ip,
      `${forwarded} by ${TRUST_PROXY}`,
    )
    isAnswer(t, await ask(app, { url: '/api/v1/utils/health-check/', headers }), 200, true)
  }
})

void test('a malformed Host header is 400', async (t) => {
  const port = await listen(await startWithoutData(t, production))
  const statusFor = async (host: string) => {
    const head = `GET /health/live HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
    return parse(await exchange(t, port, Buffer.from(head, 'latin1'))).status
  }
  for (const host of ['a, b', 'a/b', 'evil@a', 'a b', '\xe4', 'a\\b', 'a?b', '<a>'])
    t.equal(await statusFor(host), 400, host)
  for (const host of ['a', 'api.example.com:8000', '[::1]:8000', 'a_b', '', 'xn--bcher-kva.example.'])
    t.equal(await statusFor(host), 200, host)
})
