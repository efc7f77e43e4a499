import { readFileSync } from 'node:fs'
import { test } from 'tap'
import { buildInfo, release } from '../src/config/build-info.ts'
import { startCollector } from './support/collector.ts'
import { ask, noDatabase, startWithoutData } from './support/no-database.ts'
import { freePort } from './support/postgres.ts'
import { startSentry } from './support/sentry.ts'

const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as { version: string }
const document = (path: string) => {
  const { info, ...rest } = JSON.parse(readFileSync(path, 'utf8')) as { info: { version: string } }
  return { version: info.version, text: JSON.stringify(rest) }
}

const isLater = (version: string, than: string) => version.localeCompare(than, 'en', { numeric: true }) > 0

void test('an openapi.json that changed since the last release has a later version', async (t) => {
  const [current, released] = [document('openapi.json'), document('test/contract/released.json')]
  t.equal(current.version, read('package.json').version, 'it is that of the package')
  t.equal(read('package-lock.json').version, current.version, 'npm install says so too')
  if (current.text === released.text) t.equal(current.version, released.version)
  else
    t.ok(
      isLater(current.version, released.version),
      `openapi.json is not that of release ${released.version}: package.json has to name the next one, not ${current.version}`,
    )
  t.ok(isLater('0.10.0', '0.9.1'))
  t.notOk(isLater('0.1.0', '0.1.0'))
})

void test('an operator sees which build runs, in health, metrics, traces and reports', async (t) => {
  const collector = await startCollector(t)
  const sentry = await startSentry(t)
  const port = await freePort()
  let fault: Error | undefined
  const env = {
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FIRST_SUPERUSER: 'root@example.com',
    FIRST_SUPERUSER_PASSWORD: 'superuser-password',
    METRICS_PORT: String(port),
    SENTRY_DSN: sentry.dsn,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
  }
  const connection = noDatabase(() => fault)
  const app = await startWithoutData(t, env, connection)
  const { version } = read('package.json')
  t.match(buildInfo, { version })
  for (const path of ['live', 'ready']) {
    const { body } = await ask(app, { url: `/health/${path}` })
    t.strictSame(body, { status: path, ...buildInfo })
  }
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  t.match(
    metrics,
    new RegExp(`^build_info\\{version="${version}",revision=".*",node="${process.version}"\\} 1$`, 'm'),
  )

  fault = new Error('out of order')
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const body = 'username=ada&password=a+password'
  await ask(app, { method: 'POST', url: '/api/v1/login/access-token', headers: form, body })
  await app.close()
  t.match(collector.text(), `{"key":"service.version","value":{"stringValue":"${release}"}}`)
  t.match(sentry.envelopes.join(''), `"release":"groundwork@${release}"`)
})
