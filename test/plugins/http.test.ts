import { test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { isAnswer } from '../support/answers.ts'
import { collectingLogger } from '../support/log-lines.ts'
import { ask, noDatabase, startWithoutData } from '../support/no-database.ts'
import { exchange, listen, parse } from '../support/sockets.ts'

const get = (path: string, headers = '') =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers}\r\n`

void test('HTTP as it comes over the wire', async (t) => {
  const app = await startWithoutData(t)
  const port = await listen(app)
  const send = async (bytes: string | Buffer) => parse(await exchange(t, port, bytes))
  const says = (status: number, detail: string) => ({ status, body: { detail } })

  await t.test('fault 11: however a path is written, the guard of its route holds', async (t) => {
    const guarded = [
      '/api/v1/items/',
      '/api/v1/items',
      '/api/v1/%69tems/',
      '/api/v1/items?x',
      '/api/v1/items/#x',
      '/api/v1/items//',
    ]
    for (const path of [
      ...guarded,
      'http://evil.example/api/v1/items/',
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
      '//api/v1/items/',
      '/api//v1/items/',
      '/api/v1//items/',
      '/api/v1%2Fitems/',
      '/api/v1/items;x=1',
      '/api/v1/items/x/;y',
      '/api/v1/./items/',
      '/api/v1/x/../items/',
      '/API/V1/ITEMS/',
      '/api/v1/users//me/sessions',
      '/api/v1/users/me/sessions;x=1',
      '/api/v1/users/me/../me/sessions',
      '//api/v1/users/me/sessions',
      '/api/v1/items%20',
      '/api/v1/items%5C',
      '/api/v1/items%00',
    ]
    for (const path of elsewhere) t.match(await send(get(path)), says(404, 'Not Found'), path)
    t.match(await send(get('*api/v1/items/')), { status: /40[014]/ })

    const id = '00000000-0000-4000-8000-000000000000'
    for (const path of ['sessions', 'sessions/', '%73essions', `sessions/${id}`, `%73essions/${id}/`]) {
      const ending = get(`/api/v1/users/me/${path}`).replace('GET', 'DELETE')
      t.match(await send(ending), says(401, 'Not authenticated'), ending)
      t.equal((await send(ending.replace('DELETE', 'HEAD'))).status, path.includes(id) ? 405 : 401)
    }
    // A link is used by POST alone, and by no other path than its own.
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

  await t.test('a path parameter may be long', async (t) => {
    const address = (length: number) => `${'a'.repeat(60)}@${'b.'.repeat(length).slice(0, length - 64)}.co`
    const recover = async (email: string) =>
      send(`POST /api/v1/password-recovery/${email} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    t.equal((await recover(address(255))).status, 200, 'an address of 255 characters')
    for (const length of [256, 300, 4000]) t.equal((await recover(address(length))).status, 422, `${length}`)
    for (const length of [255, 256, 8000])
      t.match(
        await send(get(`/api/v1/items/${'a'.repeat(length)}`)),
        says(401, 'Not authenticated'),
        `${length}`,
      )
    t.match(await send(get(`/api/v1/items/${'a'.repeat(20_000)}`)), {
      status: /^4/,
      body: { detail: String },
    })
  })

  await t.test('percent signs that mean nothing are refused, with an id to quote', async (t) => {
    for (const path of [
      '/api/v1/items/%zz',
      '/api/v1/items/%',
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

  await t.test('what is no HTTP gets an answer in the shape of all others', async (t) => {
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

  await t.test('so does what Node would refuse by itself', async (t) => {
    const noHost = await send('GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n')
    t.match(noHost, { status: 400, body: { detail: String } }, 'no Host (RFC 9112, section 3.2)')
    const expecting = await send(get('/health/live', 'Expect: a miracle\r\n'))
    t.match(expecting, { status: 417, body: { detail: String } }, 'an expectation that nobody meets')
  })

  await t.test('old clients are served', async (t) => {
    t.match(await send('GET /health/live HTTP/1.0\r\n\r\n'), { status: 200, body: { status: 'live' } })
    t.match(await send(get('/health/live', 'Upgrade: h2c\r\n')), { status: 200 })
  })
})

void test('fault 26: slow and silent clients lose their connection', async (t) => {
  const app = await startWithoutData(t)
  const { server } = app
  for (const name of ['headersTimeout', 'requestTimeout', 'timeout', 'keepAliveTimeout'] as const)
    t.ok(server[name] > 0 && server[name] <= 75_000, `${name} is bounded`)
  // The same in less time.
  Object.assign(server, {
    headersTimeout: 100,
    requestTimeout: 200,
    timeout: 300,
    keepAliveTimeout: 100,
    connectionsCheckingInterval: 20,
  })
  const port = await listen(app)
  const late = { status: 408, body: { detail: 'Request Timeout' } }
  t.match(parse(await exchange(t, port, 'GET / HTTP/1.1\r\nHost: a\r\n')), late, 'slow headers')
  const post = 'POST /api/v1/reset-password/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n'
  t.match(parse(await exchange(t, port, `${post}Content-Length: 9\r\n\r\n{`)), late, 'a slow body')
  t.match(parse(await exchange(t, port, '')), late, 'no word at all')
  const idle = await exchange(t, port, 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n')
  t.match(parse(idle), { status: 200 }, 'nothing more after an answer')
})

void test('every answer has an id, the one of the request where that is plain', async (t) => {
  const app = await startWithoutData(t)
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
})

void test('fault 18: where a request comes from is believed of trusted proxies alone', async (t) => {
  const PEER = '127.0.0.1'
  const cases: [trusted: string, forwarded: string, ip: string][] = [
    ['', '6.6.6.6', PEER],
    ['10.0.0.0/8', '6.6.6.6', PEER],
    ['127.0.0.1', '6.6.6.6', '6.6.6.6'],
    ['127.0.0.1', '6.6.6.6, 7.7.7.7', '7.7.7.7'],
    ['127.0.0.0/8, 10.0.0.0/8', '6.6.6.6, 7.7.7.7, 10.1.2.3', '7.7.7.7'],
    ['["127.0.0.1/32"]', '2001:db8::1', '2001:db8::1'],
  ]
  for (const [TRUST_PROXY, forwarded, ip] of cases) {
    const { logger, lines } = await collectingLogger()
    const config = readConfig({
      ENVIRONMENT: 'local',
      SECRET_KEY: 'only for tests'.padEnd(32, '.'),
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
    const incoming = lines.find((line) => line.includes('incoming request'))
    t.equal(
      (JSON.parse(incoming ?? '{}') as { req?: { ip: string } }).req?.ip,
      ip,
      `${forwarded} by ${TRUST_PROXY}`,
    )
    isAnswer(t, await ask(app, { url: '/api/v1/utils/health-check/', headers }), 200, true)
  }
})
