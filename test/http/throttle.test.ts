import { test } from 'tap'
import { SITE_ROOM, refusalDelay, throttle } from '../../src/config/limits.ts'
import { meter, networkMeter } from '../../src/http/limits/throttle.ts'
import { isAnswer } from '../support/answers.ts'
import { errorBody } from '../support/errors.ts'
import { freshNetwork, limited } from '../support/limits.ts'
import { ask, startWithoutData } from '../support/no-database.ts'
import { exchange, listen, parse } from '../support/sockets.ts'

void test('a network that exceeds its burst is 429 with Retry-After; others are served', async (t) => {
  const app = await startWithoutData(t, { ...limited, BACKEND_CORS_ORIGINS: 'https://app.example.com' })
  const get = (
    remoteAddress: string,
    url = '/api/v1/users/me',
    headers = {},
    method: 'GET' | 'PUT' | 'OPTIONS' = 'GET',
  ) => ask(app, { url, remoteAddress, headers, method })
  const from = freshNetwork()
  /** Repeats the request until it is 429: on a slow machine some of the burst comes back meanwhile. */
  const getUntilRefused = async (...request: Parameters<typeof get>) => {
    let answer = await get(...request)
    for (let more = 0; answer.status !== 429 && more < throttle.burst; more++) answer = await get(...request)
    return answer
  }
  const spend = async (requests: number, address = () => from) => {
    for (let sent = 0; sent < requests; sent++) await get(address(), '/health/live')
  }

  await spend(throttle.burst - 1)
  isAnswer(t, await get(from), 401, 'Not authenticated', 'the last that passes')
  const refused = await getUntilRefused(from, undefined, { origin: 'https://app.example.com' })
  isAnswer(t, refused, 429, 'Too many requests', 'before it is asked who that is')
  t.match(refused.headers, { 'retry-after': '1', 'access-control-allow-origin': 'https://app.example.com' })

  const paths = [
    '/api/v1/nowhere',
    '/',
    '/nowhere'.repeat(1000),
    '/%zz',
    `/api/v1/papers/${'a'.repeat(20_000)}`,
  ]
  const ofPaths = await Promise.all(paths.map((url) => getUntilRefused(from, url)))
  for (const { status } of ofPaths) t.equal(status, 429, 'a path that nobody serves costs as much as others')
  const ofMethods = await Promise.all(
    (['PUT', 'OPTIONS'] as const).map((method) => getUntilRefused(from, undefined, {}, method)),
  )
  for (const answer of ofMethods) isAnswer(t, answer, 429, 'Too many requests', 'whatever the method')
  for (const url of ['/nowhere', '/api/v1/users/me']) {
    const preflight = { origin: 'https://app.example.com', 'access-control-request-method': 'GET' }
    const answer = await getUntilRefused(from, url, preflight, 'OPTIONS')
    isAnswer(t, answer, 429, 'Too many requests', `a preflight to ${url}`)
    t.equal(answer.headers['access-control-allow-origin'], 'https://app.example.com')
  }
  for (const probe of ['/health/live', '/health/ready', '/api/v1/utils/health-check/']) {
    const statuses = new Set<number>()
    for (let asked = 0; asked < 50; asked++) statuses.add((await get(from, probe)).status)
    t.same([...statuses], [200], `${probe}: a process that is well is not taken for dead`)
  }
  const port = await listen(app)
  const expecting = 'GET /nowhere HTTP/1.1\r\nHost: localhost\r\nExpect: x\r\nConnection: close\r\n\r\n'
  await getUntilRefused('127.0.0.1')
  let ofExpecting = parse(await exchange(t, port, expecting))
  for (let more = 0; ofExpecting.status !== 429 && more < throttle.burst; more++)
    ofExpecting = parse(await exchange(t, port, expecting))
  t.match(ofExpecting, { status: 429, body: errorBody('Too many requests') }, 'whatever it expects')
  const [mapped, forwarded] = await Promise.all([
    getUntilRefused(`::ffff:${from}`),
    getUntilRefused(from, undefined, { 'x-forwarded-for': freshNetwork() }),
  ])
  t.equal(mapped.status, 429, 'the same network')
  t.equal(forwarded.status, 429, 'whatever it says')
  isAnswer(t, await get(freshNetwork()), 401, 'Not authenticated', 'others are served')

  let host = 0
  const rotating = () => `2001:db8:7:7::${(host += 1).toString(16)}`
  await spend(throttle.burst, rotating)
  t.equal((await getUntilRefused(rotating())).status, 429, 'an IPv6 /64 is one network')
})

void test('a large body counts as often as ordinary ones fit in it', async (t) => {
  const app = await startWithoutData(t, limited)
  const send = (from: string, path: string, length: number) =>
    ask(app, {
      method: 'POST',
      url: `/api/v1/papers/${path}`,
      remoteAddress: from,
      headers: { 'content-type': 'application/json', 'content-length': String(length) },
    })
  /** How many are let pass before one is 429; on a slow machine some of the burst comes back meanwhile. */
  const passed = async (path: string, length: number) => {
    const from = freshNetwork()
    for (let sent = 0; ; sent++) if ((await send(from, path, length)).status === 429) return sent
  }
  const large = await passed('batch', 1024 * 1024)
  t.ok(large >= throttle.burst / 32 - 1 && large < throttle.burst / 16, `${large} bodies of 1 MiB`)
  t.ok((await passed('batch', 10_000)) >= throttle.burst, 'a small one counts once')
  t.ok((await passed('', 1024 * 1024)) >= throttle.burst, 'and one that is refused by its length')
})

void test('each 429 of the throttle is delayed', async (t) => {
  const app = await startWithoutData(t, limited)
  const from = freshNetwork()
  const askAtOnce = (requests: number) => {
    const timed = async () => {
      const begun = performance.now()
      const { status } = await ask(app, { url: '/', remoteAddress: from })
      return { status, ms: performance.now() - begun }
    }
    return Promise.all(Array.from({ length: requests }, timed))
  }
  await askAtOnce(throttle.burst)
  let refused: { ms: number }[] = []
  while (refused.length === 0) refused = (await askAtOnce(50)).filter(({ status }) => status === 429)
  const quickest = Math.min(...refused.map(({ ms }) => ms))
  // At least half of the delay; timers count from the start of the event loop turn, which may be a while ago.
  t.ok(quickest >= refusalDelay.ms * 0.4, `after ${Math.round(quickest)} ms`)
})

void test('all networks of an IPv6 /48 together send ten times as many requests as one', (t) => {
  const secondsToWait = networkMeter()
  const spend = (site: string) => {
    let [sent, round] = [0, 0]
    for (; round < 4 * SITE_ROOM * throttle.burst; round++)
      if (secondsToWait(`${site}:${(round % 300).toString(16)}::/64`, 0) === 0) sent += 1
    return sent
  }
  t.equal(spend('2001:db8:8'), SITE_ROOM * throttle.burst)
  t.equal(spend('2001:db8:9'), SITE_ROOM * throttle.burst, 'the next /48 is another')
  t.equal(secondsToWait('203.0.113.7', 0), 0, 'so is IPv4')

  const quiet = networkMeter()
  for (let sent = 0; sent < 100 * throttle.burst; sent++) quiet('2001:db8:8:1::/64', 0)
  t.equal(
    quiet('2001:db8:8:2::/64', 0),
    0,
    'what one network has too much of does not count for its neighbours',
  )
  t.end()
})

void test('fault 23: the count of a network survives 5,001 other networks', (t) => {
  const secondsToWait = meter({ burst: 10, perSecond: 1 })
  const spend = (network: string, now: number) => {
    let passed = 0
    while (secondsToWait(network, now) === 0) passed += 1
    return passed
  }
  t.equal(spend('192.0.2.1', 0), 10)
  let heldUp = 0
  for (let other = 0; other < 5001; other++)
    if (spend(`2001:db8:0:${other.toString(16)}::/64`, 0) < 10) heldUp += 1
  t.equal(heldUp, 0)
  t.equal(secondsToWait('192.0.2.1', 0), 1)
  t.equal(secondsToWait('192.0.2.1', 999), 1)
  t.equal(secondsToWait('192.0.2.1', 1000), 0, 'one a second passes')
  t.equal(secondsToWait('192.0.2.1', 1000), 1)
  t.equal(spend('192.0.2.2', 0), 10, 'its neighbour is another')
  t.equal(spend('192.0.2.1', 1_000_000), 10, 'in the end all is forgotten')
  t.end()
})

void test('a long page counts as often as pages of the usual length fit in it', async (t) => {
  const app = await startWithoutData(t, limited)
  /** Whether a network is refused before it has asked for as many as half of its burst. */
  const isRefused = async (path: string) => {
    const from = freshNetwork()
    for (let asked = 0; asked < throttle.burst / 2; asked++)
      if ((await ask(app, { url: `/api/v1${path}`, remoteAddress: from })).status === 429) return true
    return false
  }
  t.equal(await isRefused('/items/?limit=1000'), true)
  t.equal(await isRefused('/items/?limit=1e99'), true, 'however much is asked for')
  for (const path of ['/items/', '/items/?limit=100', '/items/?limit=x', '/items/?limit=1&limit=1000'])
    t.equal(await isRefused(path), false, path)
  t.equal(await isRefused('/users/me?limit=1000'), false, 'where there are no pages it says nothing')
})
