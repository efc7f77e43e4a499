import { test } from 'tap'
import { throttle } from '../../src/limits.ts'
import { meter } from '../../src/plugins/throttle.ts'
import { isAnswer } from '../support/answers.ts'
import { freshNetwork, limited } from '../support/limits.ts'
import { ask, startWithoutData } from '../support/no-database.ts'

void test('too many requests of one network', async (t) => {
  const app = await startWithoutData(t, { ...limited, BACKEND_CORS_ORIGINS: 'https://app.example.com' })
  const get = (remoteAddress: string, url = '/api/v1/users/me', headers = {}) =>
    ask(app, { url, remoteAddress, headers })
  const from = freshNetwork()
  /** A slow machine forgets a few while it asks. */
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

  isAnswer(t, await get(from, '/api/v1/nowhere'), 404, 'Not Found', 'what is not there is told first')
  for (const method of ['PUT', 'OPTIONS'] as const) {
    const other = await ask(app, { method, url: '/api/v1/users/me', remoteAddress: from })
    isAnswer(t, other, 405, 'Method Not Allowed', method)
  }
  t.equal((await get(from, '/health/live')).status, 200, 'the process is not taken for dead')
  t.equal((await getUntilRefused(`::ffff:${from}`)).status, 429, 'the same network')
  t.equal(
    (await getUntilRefused(from, undefined, { 'x-forwarded-for': freshNetwork() })).status,
    429,
    'whatever it says',
  )
  isAnswer(t, await get(freshNetwork()), 401, 'Not authenticated', 'others are served')

  let host = 0
  const rotating = () => `2001:db8:7:7::${(host += 1).toString(16)}`
  await spend(throttle.burst, rotating)
  t.equal((await getUntilRefused(rotating())).status, 429, 'an IPv6 /64 is one network')
})

void test('fault 23: 5,001 others do not push out what a network was counted', (t) => {
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
  t.ok(heldUp <= 5, `${heldUp} were held up by others`)
  t.equal(secondsToWait('192.0.2.1', 0), 1)
  t.equal(secondsToWait('192.0.2.1', 999), 1)
  t.equal(secondsToWait('192.0.2.1', 1000), 0, 'one a second passes')
  t.equal(secondsToWait('192.0.2.1', 1000), 1)
  t.ok(spend('192.0.2.2', 0) >= 9, 'its neighbour is another')
  t.equal(spend('192.0.2.1', 1_000_000), 10, 'in the end all is forgotten')
  t.end()
})
