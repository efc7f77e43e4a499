import { test } from 'tap'
import { startIdentityProvider } from '../support/identity-provider.ts'
import { ask } from '../support/no-database.ts'
import { browser, somebody } from '../support/provider-browser.ts'
import { startService } from '../support/service.ts'

void test('the page of identity providers', async (t) => {
  const provider = await startIdentityProvider(t)
  const service = await startService(t, provider.env)
  const { app } = service
  const { begin, back } = browser(service, provider)
  const send = (fields: Record<string, string>, cookie = '') =>
    ask(app, {
      method: 'POST',
      url: '/sign-in',
      headers: { 'content-type': 'application/x-www-form-urlencoded', cookie },
      payload: new URLSearchParams(fields).toString(),
    })
  const comeBack = async () => {
    const page = await ask(app, { url: '/sign-in' })
    const path =
      /href="http:\/\/localhost:8000(\/api\/v1\/login\/oidc\/acme\?code_challenge=[\w-]{43})"/.exec(page.text)
    const { url, cookie } = await begin(path?.[1])
    const { headers } = await back(await provider.visit(url), cookie)
    const [own] = String(page.headers['set-cookie']).split(';')
    return { location: String(headers.location), cookie: own ?? '' }
  }

  await t.test('somebody goes to a provider, comes back, and is signed in by one button', async (t) => {
    const chosen = await ask(app, { url: '/sign-in' })
    t.match(
      chosen.text,
      /href="http:\/\/localhost:8000\/api\/v1\/login\/oidc\/acme\?code_challenge=[^]*Go on with Acme/,
    )
    provider.somebody = somebody()
    const { location, cookie } = await comeBack()
    t.match(location, /^http:\/\/localhost:8000\/sign-in\?code=/)
    const { pathname, search, searchParams } = new URL(location)
    const page = await ask(app, { url: pathname + search })
    t.match(page, { status: 200, text: /You are back/ })
    const stranger = await send({ code: searchParams.get('code')! })
    t.match(stranger, { status: 400, text: /That took too long/ }, 'led here with a code of somebody else')
    const inside = await send({ code: searchParams.get('code')! }, cookie)
    t.match(inside, { status: 200, text: /Set up an authenticator/ })
    const again = await send({ code: searchParams.get('code')! }, cookie)
    t.match(again, { status: 400, text: /role="alert">That took too long/ })
  })

  await t.test('it says in plain words what went wrong', async (t) => {
    provider.somebody = null
    const { pathname, search } = new URL((await comeBack()).location)
    t.match((await ask(app, { url: pathname + search })).text, /was called off\. Begin again/)
    for (const [error, words] of Object.entries({
      account_exists: 'There is an account with your address already',
      provider_unavailable: 'does not answer',
      ['__proto__']: 'Begin again',
      constructor: 'Begin again',
      '<script>': 'Begin again',
    })) {
      const { text } = await ask(app, { url: `/sign-in?error=${encodeURIComponent(error)}` })
      t.ok(text.includes(words), error)
      t.notOk(text.includes('<script>'))
    }
    t.match((await ask(app, { url: '/sign-in?linked=acme' })).text, /Acme is linked/)
    t.notMatch((await ask(app, { url: '/sign-in?linked=Call+0900' })).text, /0900/, 'of none that is set up')
  })

  await t.test('there is no such page where a frontend has it', async (t) => {
    const other = await startService(t, { ...provider.env, FRONTEND_HOST: 'http://localhost:5173' })
    t.equal((await ask(other.app, { url: '/sign-in' })).status, 404)
  })
})
