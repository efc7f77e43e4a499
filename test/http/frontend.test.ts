import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { type Test, test } from 'tap'
import { isAnswer } from '../support/answers.ts'
import { ask, noDatabase, startWithoutData } from '../support/no-database.ts'
import { listen } from '../support/sockets.ts'
import { frontendDirFault } from '../../src/config/frontend-dir.ts'
import { frontendPolicy, isHashed } from '../../src/http/pages/frontend-files.ts'

const INDEX =
  '<!doctype html><title>App</title><script>start()</script><script type="module" src="/assets/a.js"></script>'
const SCRIPT = 'console.log("app")'
const HASHED = 'index-BxK92aLm.js'

/** A built app, in a folder beside a secret. */
function built(t: Test) {
  const folder = t.testdir({
    secret: 'hidden',
    dist: {
      'index.html': INDEX,
      'favicon.ico': 'icon',
      '.env': 'hidden',
      '.git': { config: 'hidden' },
      assets: {
        [HASHED]: SCRIPT,
        [`${HASHED}.br`]: brotliCompressSync(SCRIPT),
        [`${HASHED}.gz`]: gzipSync(SCRIPT),
        images: { 'logo-dark.svg': '<svg/>' },
      },
    },
  })
  const FRONTEND_DIR = join(folder, 'dist')
  symlinkSync('../secret', join(FRONTEND_DIR, 'leads-out.txt'))
  symlinkSync('..', join(FRONTEND_DIR, 'up'))
  symlinkSync('favicon.ico', join(FRONTEND_DIR, 'leads-in.ico'))
  symlinkSync('../../secret', join(FRONTEND_DIR, 'assets', 'a.js.br'))
  symlinkSync('../../secret', join(FRONTEND_DIR, 'assets', 'out-BxK92aLm.js'))
  writeFileSync(join(FRONTEND_DIR, 'assets', 'a.js'), 'a')
  return FRONTEND_DIR
}

const asBrowser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }

void test('the service serves a single-page app on its own origin', async (t) => {
  const FRONTEND_DIR = built(t)
  const app = await startWithoutData(t, { FRONTEND_DIR })
  const get = (url: string, headers: Record<string, string> = {}) => ask(app, { url, headers })

  await t.test(
    'a browser gets index.html at / and at every path of the app, and no cache keeps it',
    async (t) => {
      for (const url of [
        '/',
        '/login',
        '/items/7?x=1',
        '/admin',
        '/reset-password?token=x',
        '/index.html',
        '/assets/',
      ])
        t.match(
          await get(url, asBrowser),
          {
            status: 200,
            text: INDEX,
            headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' },
          },
          url,
        )
      t.match(await get('/'), { status: 200, text: INDEX }, 'also what says nothing of what it takes')
      t.match(await ask(app, { method: 'HEAD', url: '/login', headers: asBrowser }), {
        status: 200,
        text: '',
      })
    },
  )

  await t.test(
    'what asks for no page, as fetch() and script tags, gets 404 and never index.html',
    async (t) => {
      for (const accept of ['*/*', 'application/json', ''])
        isAnswer(t, await get('/assets/old-BxK92aLm.js', { accept }), 404, 'Not Found')
    },
  )

  await t.test(
    'a file with a hash in its name is kept for a year, others are asked for each time',
    async (t) => {
      const hashed = await get(`/assets/${HASHED}`)
      t.match(hashed, { status: 200, text: SCRIPT, headers: { 'content-type': /javascript/ } })
      t.equal(hashed.headers['cache-control'], 'public, max-age=31536000, immutable')
      const icon = await get('/favicon.ico')
      t.match(icon, { status: 200, text: 'icon', headers: { 'cache-control': 'no-cache', etag: String } })
      const again = await get('/favicon.ico', { 'if-none-match': String(icon.headers.etag) })
      t.match(again, { status: 304, text: '' })
      t.equal((await get('/assets/images/logo-dark.svg')).headers['cache-control'], 'no-cache')
    },
  )

  await t.test('a compressed file beside the file is sent to who takes it', async (t) => {
    const packed = async (encoding: string) => {
      const headers = { 'accept-encoding': encoding }
      const { rawPayload, headers: told } = await app.inject({ url: `/assets/${HASHED}`, headers })
      t.match(told, {
        'content-type': /javascript/,
        'cache-control': /immutable/,
        vary: /accept-encoding/i,
      })
      return { encoding: told['content-encoding'], rawPayload }
    }
    const br = await packed('gzip, deflate, br')
    t.match([br.encoding, String(brotliDecompressSync(br.rawPayload))], ['br', SCRIPT])
    const gz = await packed('gzip')
    t.match([gz.encoding, String(gunzipSync(gz.rawPayload))], ['gzip', SCRIPT])
    t.notHas((await get('/favicon.ico', { 'accept-encoding': 'br' })).headers, 'content-encoding')
  })

  await t.test('what is refused when it is sent is no file that is kept for a year', async (t) => {
    const refused = await get('/assets/out-BxK92aLm.js')
    isAnswer(t, refused, 404, 'Not Found')
    t.match(refused.headers, { 'cache-control': 'no-store', 'content-security-policy': "default-src 'none'" })
  })

  await t.test(
    'its policy allows its own scripts, those in index.html by hash, and no frame around it',
    async (t) => {
      const policy = String((await get('/login', asBrowser)).headers['content-security-policy'])
      const hash = createHash('sha256').update('start()').digest('base64')
      t.match(policy, `;script-src 'self' 'sha256-${hash}'`)
      t.equal(policy.match(/sha256/g)?.length, 1, 'and nothing for scripts that are files')
      t.notMatch(policy, /unsafe-eval|script-src[^;]*unsafe-inline/)
      const told = frontendPolicy('')
      t.match(readFileSync('docs/operations.md', 'utf8'), `\n${told}\n`, 'as docs/operations.md says')
      t.equal(policy, `${told} 'sha256-${hash}'`)
      t.match(policy, "frame-ancestors 'none'")
      t.match(policy, "default-src 'self'")
      t.equal((await get('/favicon.ico')).headers['content-security-policy'], policy)
      t.match((await get('/login', asBrowser)).headers, {
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      })
    },
  )

  await t.test(
    'paths of the service are its own: unknown ones below them stay JSON, with 404 or 405',
    async (t) => {
      const unknown = [
        '/api',
        '/api/v1/nothing',
        '/api/v2',
        '//api/v1/nothing',
        '/%61pi/v1/nothing',
        '/health/x',
      ]
      for (const url of [...unknown, '/metrics', '/docs/nothing/x', '/inbox/x/y'])
        isAnswer(t, await get(url, asBrowser), 404, 'Not Found', url)
      isAnswer(t, await get('/api/v1/login/access-token', asBrowser), 405, 'Method Not Allowed')
      isAnswer(t, await get('/api/v1/password-recovery/x', asBrowser), 405, 'Method Not Allowed')
      t.match(await get('/api/v1/utils/health-check/', asBrowser), { status: 200, body: true })
      t.equal((await get('/health/live')).status, 200)
      t.match(await get('/docs/', asBrowser), { status: 200, text: /swagger/i })
      t.match(await get('/docs', asBrowser), { text: /swagger/i })
      t.match(await get('/inbox', asBrowser), { text: /<h1>/ })
      t.match((await get('/api/v1/users/me', asBrowser)).status, 401)
    },
  )

  await t.test('other methods than GET and HEAD are 404 where the service has no such path', async (t) => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'] as const)
      isAnswer(t, await ask(app, { method, url: '/login', headers: asBrowser }), 404, 'Not Found', method)
  })

  await t.test(
    'nothing outside of the folder is sent, nor a file whose name begins with a dot',
    async (t) => {
      const port = await listen(app)
      const raw = (path: string, accept = '*/*') =>
        new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
          const headers = { accept, 'accept-encoding': 'br' }
          const sent = request({ host: '127.0.0.1', port, path, headers, agent: false }, (answer) => {
            readAll(answer).then((text) => resolve({ status: answer.statusCode, text }), reject)
          })
          sent.on('error', reject).end()
        })
      const ways = [
        '/../secret',
        '/assets/../../secret',
        '/%2e%2e/secret',
        '/assets/%2e%2e/%2e%2e/secret',
        '/..%2fsecret',
        '/%252e%252e/secret',
        '/..%5csecret',
        '/..\\secret',
        '//secret',
        '/./../secret',
        '/assets//../../secret',
        '/favicon.ico/../../secret',
        '/leads-out.txt',
        '/up/secret',
        '/up/dist/favicon.ico/../../secret',
        '/.env',
        '/%2eenv',
        '/.git/config',
        '/assets/../.env',
        '/secret%00.js',
        `${FRONTEND_DIR}/../secret`,
      ]
      for (const path of ways) {
        const plain = await raw(path)
        t.match([400, 404], [plain.status === 400 ? 400 : Number, 404], path)
        t.ok([400, 404].includes(plain.status ?? 0), `${path}: ${plain.status}`)
        for (const { text } of [plain, await raw(path, 'text/html')]) t.notMatch(text, 'hidden', path)
      }
      t.notMatch((await raw('/assets/a.js')).text, 'hidden', 'a compressed file that leads out')
      t.match(
        await raw('/leads-in.ico'),
        { status: 200, text: 'icon' },
        'a link within the folder is one of its files',
      )
      isAnswer(t, await get('/%zz', asBrowser), 400, 'Bad Request')
      isAnswer(t, await get(`/${'a'.repeat(20_000)}`, asBrowser), 404, 'Not Found')
    },
  )
})

void test('a folder that is built anew while the service runs is served as it is then', async (t) => {
  const FRONTEND_DIR = built(t)
  const app = await startWithoutData(t, { FRONTEND_DIR })
  const before = await ask(app, { url: '/' })
  rmSync(join(FRONTEND_DIR, 'index.html'))
  isAnswer(t, await ask(app, { url: '/' }), 503, 'Service Unavailable')
  mkdirSync(join(FRONTEND_DIR, 'next'))
  writeFileSync(join(FRONTEND_DIR, 'next', 'b.js'), 'b')
  writeFileSync(join(FRONTEND_DIR, 'index.html'), '<script>other()</script>')
  const after = await ask(app, { url: '/' })
  t.equal(after.text, '<script>other()</script>')
  t.not(after.headers['content-security-policy'], before.headers['content-security-policy'])
  t.equal((await ask(app, { url: '/next/b.js' })).text, 'b')
})

void test('FRONTEND_CSP takes the place of the policy of the app, and of no other answer', async (t) => {
  const FRONTEND_CSP = "default-src 'self' https://js.stripe.com"
  const app = await startWithoutData(t, { FRONTEND_DIR: built(t), FRONTEND_CSP })
  const policyOf = async (url: string) => (await ask(app, { url })).headers['content-security-policy']
  t.equal(await policyOf('/'), FRONTEND_CSP)
  t.equal(await policyOf('/favicon.ico'), FRONTEND_CSP)
  t.match(await policyOf('/api/v1/utils/health-check/'), "default-src 'none'")
})

void test('the app is served while the database is away, and its API is 503', async (t) => {
  const away = {
    ...noDatabase(),
    migrate: () => Promise.reject(Object.assign(new Error('no'), { code: 'ECONNREFUSED' })),
  }
  const app = await startWithoutData(t, { FRONTEND_DIR: built(t) }, away)
  t.equal((await ask(app, { url: '/login', headers: asBrowser })).status, 200)
  isAnswer(t, await ask(app, { url: '/api/v1/users/me' }), 503, 'Service Unavailable')
})

void test('unknown paths of the app count in the throttle as others do', async (t) => {
  const app = await startWithoutData(t, { FRONTEND_DIR: built(t), RATE_LIMIT_ENABLED: 'true' })
  const answers = await Promise.all(Array.from({ length: 2_000 }, (_, n) => app.inject(`/n/${n}`)))
  t.ok(answers.some(({ statusCode }) => statusCode === 429))
})

void test('in production without /docs the app has / and /docs stays the service’s', async (t) => {
  const app = await startWithoutData(t, {
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FIRST_SUPERUSER_PASSWORD: 'a password of its own',
    DOCS_ENABLED: 'false',
    FRONTEND_DIR: built(t),
  })
  t.match(await ask(app, { url: '/', headers: asBrowser }), { status: 200, text: INDEX })
  t.match((await ask(app, { url: '/' })).headers, { 'strict-transport-security': String })
  isAnswer(t, await ask(app, { url: '/docs', headers: asBrowser }), 404, 'Not Found')
})

void test('with a frontend, the pages of mailed links are its own', async (t) => {
  const app = await startWithoutData(t, { FRONTEND_DIR: built(t) })
  for (const url of [
    '/reset-password?token=x',
    '/verify-email?token=x',
    '/recover-password',
    '/second-factor',
  ])
    t.equal((await ask(app, { url, headers: asBrowser })).text, INDEX, url)
})

void test('an index.html that leads out of the folder is told at the start', (t) => {
  const folder = t.testdir({ 'page.html': '', dist: {}, inside: { 'page.html': '' } })
  symlinkSync('../page.html', join(folder, 'dist', 'index.html'))
  symlinkSync('page.html', join(folder, 'inside', 'index.html'))
  t.match(frontendDirFault(join(folder, 'dist')), /leads out of it/)
  t.equal(frontendDirFault(join(folder, 'inside')), undefined)
  t.end()
})

void test('a name with a hash is told from one that may change', (t) => {
  const hashed = [
    'assets/index-BxK92aLm.js',
    'assets/index-B_x-1ZaQ.css',
    'sub/assets/roboto-latin-400-normal-CNwBRw8h.woff2',
    'static/js/main.8f3a2b1c.js',
    'static/js/787.4f2c1a9e.chunk.js',
    'main-5CFXUT6N.js',
    '_app/immutable/nodes/0.js',
    '_next/static/media/a.woff2',
  ]
  const not = [
    'favicon.ico',
    'index.html',
    'assets/images/fastapi-logo-light.svg',
    'assets/brand-whatever.svg',
    'assets/icon-1024x768.png',
    'assets/photo-20240101.jpg',
    'photo.20240101.jpg',
    'IMG-20240101.jpg',
    'web-app-manifest-512x512.png',
    'sw.js',
    'registerSW.js',
    'manifest.webmanifest',
    'jquery-3.7.1.min.js',
  ]
  for (const path of hashed) t.ok(isHashed(path), path)
  for (const path of not) t.notOk(isHashed(path), path)
  t.end()
})
