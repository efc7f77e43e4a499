import { test } from 'tap'
import type { App } from '../../src/contract/contract.ts'
import { isAnswer } from '../support/answers.ts'
import { ask, startWithoutData } from '../support/no-database.ts'

const PAGES = ['/', '/docs', '/docs/', '/api/v1/openapi.json', '/api/v1/openapi.json/']

void test('documentation pages', async (t) => {
  const app = await startWithoutData(t)
  const get = (url: string) => ask(app, { url })

  await t.test('/ redirects to Swagger UI at /docs', async (t) => {
    const home = await get('/')
    t.equal(home.status, 302)
    t.equal(home.headers.location, '/docs')
    for (const path of ['/docs', '/docs/']) {
      const page = await get(path)
      t.equal(page.status, 200, path)
      t.match(page.headers['content-type'], /^text\/html/)
      t.match(page.text, /swagger-ui/)
    }
  })

  await t.test('Swagger UI loads only its own files, under a CSP that allows plain HTTP', async (t) => {
    const { headers, text } = await get('/docs/')
    const policy = String(headers['content-security-policy'])
    t.notMatch(policy, 'upgrade-insecure-requests', 'plain HTTP off localhost would show nothing')
    t.match(policy, /default-src 'self'/)
    t.match(policy, /script-src 'self'/)
    t.notMatch(/script-src [^;]*/.exec(policy)?.[0], /unsafe-(inline|eval)|\*|https?:(?!\/)/)
    const loaded = [...text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url = '']) => url)
    t.ok(loaded.length >= 4, 'scripts and styles')
    for (const url of loaded) {
      t.notMatch(url, /^(https?:)?\/\//, `${url} is its own`)
      t.equal((await get(new URL(url, 'http://here/docs/').pathname)).status, 200, url)
    }
  })

  await t.test('Authorize in Swagger UI uses the token routes and stays signed in', async (t) => {
    const { text } = await get('/docs/static/swagger-initializer.js')
    t.match(text, /initOAuth\(\{\}\)/)
    t.match(text, '"persistAuthorization":true')
    t.match(text, '"tryItOutEnabled":true')
    const document = (await get('/api/v1/openapi.json')).body
    t.strictSame(document.components.securitySchemes.OAuth2PasswordBearer.flows, {
      password: {
        tokenUrl: '/api/v1/login/access-token',
        refreshUrl: '/api/v1/login/refresh-token',
        scopes: {},
      },
    })
  })

  await t.test('/docs shows the document of /api/v1/openapi.json', async (t) => {
    const document = await get('/api/v1/openapi.json')
    t.equal(document.status, 200)
    t.match(document.headers['content-type'], /^application\/json/)
    t.strictSame(document.body, app.swagger())
    const { info, ...rest } = (await get('/docs/json')).body
    const { info: published, ...others } = document.body
    t.strictSame(rest, others)
    t.equal(info.description.endsWith(published.description), true)
  })

  await t.test('Swagger UI links to openapi.json and to the inbox', async (t) => {
    const { description } = (await get('/docs/json')).body.info
    const paths = [...description.matchAll(/\]\(<(\/[^>]*)>\)/g)].map(([, path]) => path)
    t.strictSame(paths, ['/api/v1/openapi.json', '/inbox'])
  })

  await t.test('fault 20: /docs serves no file outside Swagger UI', async (t) => {
    const stray = [
      'nothing',
      'static/nothing.js',
      'static/../../package.json',
      'static/%2e%2e%2f%2e%2e%2fpackage.json',
    ]
    for (const path of stray) isAnswer(t, await get(`/docs/${path}`), 404, 'Not Found', path)
  })
})

void test('Swagger UI calls the origin that it was loaded from, whatever PUBLIC_URL says', async (t) => {
  const app = await startWithoutData(t, {
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FIRST_SUPERUSER_PASSWORD: 'a password of its own',
    PUBLIC_URL: 'https://api.example.com/a(b',
  })
  const { servers, info } = (await ask(app, { url: '/docs/json' })).body
  t.equal(servers[0].url, '/a(b')
  t.match(info.description, /^\[openapi\.json\]\(<\/a\(b\/api\/v1\/openapi\.json>\)\n/, 'there is no inbox')
})

void test('fault 20: with documentation off, /, /docs and openapi.json are 404', async (t) => {
  const outside = {
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FIRST_SUPERUSER_PASSWORD: 'a password of its own',
  }
  const there = async (env: Record<string, string>, expected: boolean, message: string) => {
    const app: App = await startWithoutData(t, env)
    for (const url of [...PAGES, '/docs/json', '/docs/static/swagger-ui.css']) {
      const answer = await ask(app, { url })
      if (expected) t.ok(answer.status < 400, `${message}: ${url}`)
      else isAnswer(t, answer, 404, 'Not Found', `${message}: ${url}`)
    }
  }
  await there({ DOCS_ENABLED: 'false' }, false, 'switched off')
  await there({ ...outside, ENVIRONMENT: 'production' }, false, 'production')
  await there({ ...outside, ENVIRONMENT: 'production', DOCS_ENABLED: 'true' }, true, 'switched on')
  await there({ ...outside, ENVIRONMENT: 'staging' }, true, 'staging')
})
