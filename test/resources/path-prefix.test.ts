import { once } from 'node:events'
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Test, test } from 'tap'
import { documentOf } from '../support/document.ts'
import { startWithoutData } from '../support/no-database.ts'
import { startService } from '../support/service.ts'

const PREFIX = '/backend'

/** As nginx's `location /backend/ { proxy_pass http://service/; }`: the prefix is cut off, and what is not below it is 404. */
async function startPrefixProxy(t: Test) {
  let port = 0
  const proxy = createServer((incoming, outgoing) => {
    const { method, headers, url = '' } = incoming
    if (!url.startsWith(`${PREFIX}/`)) {
      outgoing.writeHead(404).end('outside of the prefix')
      return
    }
    const behind = forward(
      { host: '127.0.0.1', port, method, headers, path: url.slice(PREFIX.length) },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      },
    )
    incoming.pipe(behind)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => proxy.close().closeAllConnections())
  return {
    publicUrl: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${PREFIX}`,
    leadTo: (target: number) => void (port = target),
  }
}

/** What a page leads to or loads, as a browser resolves it. */
const linksIn = (html: string, base: string) =>
  [...html.matchAll(/(?:href|src|action)="([^"]*)"/g)].map(([, link = '']) => new URL(link, base))

void test('behind a proxy that strips the path of PUBLIC_URL, everything is below that path', async (t) => {
  const { publicUrl, leadTo } = await startPrefixProxy(t)
  const service = await startService(t, { PUBLIC_URL: publicUrl })
  const { app, admin, call } = service
  await app.listen({ host: '127.0.0.1', port: 0 })
  leadTo((app.server.address() as AddressInfo).port)
  await call('POST', `/password-recovery/${admin.email}`)
  const token = await service.resetToken(admin.email)

  await t.test('links, redirects, assets and forms of every page stay below the prefix', async (t) => {
    const pages = [
      '/',
      '/docs',
      '/docs/',
      '/docs/static/index.html',
      '/docs/static/index.html?a=/',
      '/inbox',
      '/inbox/',
    ]
    const tokens = [`/reset-password?token=${token}`, '/verify-email?token=unknown', '/inbox/nothing']
    const waiting = [...pages, ...tokens].map((path) => publicUrl + path)
    const seen = new Set<string>()
    for (let url = waiting.shift(); url !== undefined; url = waiting.shift()) {
      if (seen.has(url)) continue
      seen.add(url)
      t.ok(url.startsWith(`${publicUrl}/`), url)
      const answer = await fetch(url, { redirect: 'manual' })
      const text = await answer.text()
      t.ok(answer.status !== 404 && answer.status < 500, `${url}: ${answer.status}`)
      const location = answer.headers.get('location')
      if (location !== null) waiting.push(new URL(location, url).href)
      if (!answer.headers.get('content-type')?.includes('html')) continue
      const links = linksIn(text, url).filter(
        ({ href }) => !href.startsWith(`${publicUrl}/docs/static/oauth2`),
      )
      waiting.push(...links.filter(({ origin }) => publicUrl.startsWith(origin)).map(({ href }) => href))
    }
    for (const path of ['/docs/static/swagger-ui.css', '/docs/static/swagger-initializer.js'])
      t.ok(seen.has(publicUrl + path), path)
    t.ok(
      [...seen].some((url) => /\/inbox\/[\da-f-]{36}\/html$/.test(url)),
      'a mail of the inbox',
    )
  })

  await t.test('behind a prefix, a client signs in by the URLs of openapi.json', async (t) => {
    for (const path of ['/api/v1/openapi.json', '/docs/json']) {
      const source = publicUrl + path
      const document = (await (await fetch(source)).json()) as {
        servers: { url: string }[]
        components: {
          securitySchemes: Record<string, { flows: { password: { tokenUrl: string; refreshUrl: string } } }>
        }
      }
      const server = new URL(document.servers[0]!.url, source).href
      const { tokenUrl, refreshUrl } =
        document.components.securitySchemes.OAuth2PasswordBearer!.flows.password
      const signIn = await fetch(new URL(tokenUrl, server), {
        method: 'POST',
        body: new URLSearchParams({ username: admin.email, password: admin.password }),
      })
      t.equal(signIn.status, 200, `${path}: ${tokenUrl}`)
      const { access_token, refresh_token } = (await signIn.json()) as Record<string, string>
      const me = await fetch(`${server}/api/v1/users/me`, {
        headers: { authorization: `Bearer ${access_token}` },
      })
      t.equal(me.status, 200, `${path}: ${server}`)
      const refresh = await fetch(new URL(refreshUrl, server), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ refresh_token }),
      })
      t.equal(refresh.status, 200, `${path}: ${refreshUrl}`)
    }
  })
})

void test('redirects have the path of PUBLIC_URL, and never lead to another host', async (t) => {
  const outside = {
    ENVIRONMENT: 'production',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    SECRET_KEY: 'Zm9yIHRlc3RzIG9ubHkgYW5kIGxvbmcgZW5vdWdo',
    FIRST_SUPERUSER_PASSWORD: 'a password of its own',
    DOCS_ENABLED: 'true',
  }
  const cases: [path: string | undefined, location: string, server: string][] = [
    [undefined, '/docs', '/'],
    ['https://api.example.com', '/docs', 'https://api.example.com'],
    ['https://api.example.com/', '/docs', 'https://api.example.com'],
    ['https://api.example.com:8443/a/b/', '/a/b/docs', 'https://api.example.com:8443/a/b'],
    ['https://api.example.com//evil.example/', '/evil.example/docs', 'https://api.example.com/evil.example'],
    [
      'https://api.example.com/dé "q"',
      '/d%C3%A9%20%22q%22/docs',
      'https://api.example.com/d%C3%A9%20%22q%22',
    ],
    ['http://localhost:8000/a', '/a/docs', '/a'],
  ]
  for (const [url, location, server] of cases) {
    const app = await startWithoutData(t, { ...outside, ...(url !== undefined && { PUBLIC_URL: url }) })
    const home = await app.inject('/')
    t.equal(home.headers.location, location, location)
    const document = documentOf(app) as unknown as { servers: { url: string }[] }
    t.equal(document.servers[0]?.url, server, location)
  }
})
