import type { Browser, Page } from 'playwright-core'
import { accessibilityFaults, openWindow, picture } from './browser.ts'
import type { Checks } from './checks.ts'

const PASSWORD = 'correct horse battery'

/** What authenticators of phones and computers are: with user verification, and passkeys that are found without an address. */
const AUTHENTICATOR = {
  protocol: 'ctap2',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
} as const

/** Somebody adds a passkey at the service's own page, signs in with it, names and removes it: with Chromium's virtual authenticator. */
export async function passkeys(checks: Checks, browser: Browser, url: string): Promise<void> {
  const { context, faults } = await openWindow(browser)
  const page = await context.newPage()
  const devtools = await context.newCDPSession(page)
  await devtools.send('WebAuthn.enable')
  const options = AUTHENTICATOR
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', { options })
  const known = async () => (await devtools.send('WebAuthn.getCredentials', { authenticatorId })).credentials

  async function shows(heading: string) {
    await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor()
    checks.seen(`the page says: ${heading}`, true)
  }
  async function look(name: string) {
    await picture(page, name)
    const found = await accessibilityFaults(page)
    checks.seen(`${name}: accessible by day and by night`, found.length === 0, found.join('\n'))
  }
  const press = (name: string | RegExp) => page.getByRole('button', { name }).first().click()
  async function signInWithPassword(email: string) {
    await page.goto(`${url}/passkeys`)
    await page.getByLabel('Email address').fill(email)
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
    await press('Go on')
    await shows('Your passkeys')
  }
  async function tryPasskey() {
    await page.goto(`${url}/passkeys`)
    await press('Sign in with a passkey')
  }

  const email = 'hedy@example.com'
  await context.request.post(`${url}/api/v1/users/signup`, { data: { email, password: PASSWORD } })
  await page.goto(`${url}/passkeys`)
  await look('passkeys')
  await signInWithPassword(email)
  await look('passkeys-none')
  await press('Add a passkey')
  await page.getByRole('heading', { name: /^Chrome on Linux of / }).waitFor()
  await look('passkeys-added')
  const [made] = await known()
  checks.seen('the authenticator has it, to be found without an address', made?.isResidentCredential === true)
  const handle = Buffer.from(made?.userHandle ?? '', 'base64').toString()
  checks.seen('what it knows the user by is not the address', !handle.includes(email), handle)
  checks.seen('it is for this host', made?.rpId === 'localhost', made?.rpId)
  await press('Sign out')
  await shows('You are signed out')

  await tryPasskey()
  await shows('Your passkeys')
  checks.seen('the passkey signs in, without a password', true)
  await page.getByLabel(/^Name of /).fill('Laptop')
  await press(/^Rename /)
  await page.getByRole('heading', { name: /^Laptop of / }).waitFor()
  checks.seen('it gets another name', true)
  await look('passkeys-renamed')

  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false })
  await tryPasskey()
  await page.getByText('That did not work, or was cancelled.').waitFor()
  checks.seen('without user verification it does not', true)
  await look('passkeys-failed')
  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true })
  await press('Ask again')
  await shows('Your passkeys')
  checks.seen('asked again, it does', true)

  await press(/^Remove /)
  await page.getByText('You have none yet.').waitFor()
  checks.seen('it is removed', true)
  checks.seen('the authenticator has it still', (await known()).length === 1)
  await tryPasskey()
  const alert = await page.getByRole('alert').innerText()
  checks.seen(
    'a passkey that was removed is refused',
    alert.startsWith('This passkey is not known here'),
    alert,
  )
  await look('passkeys-refused')

  checks.seen('no error in the console, no violation of a policy', faults.length === 0, faults.join('\n'))
  await devtools.send('WebAuthn.clearCredentials', { authenticatorId })
  await withOwnCode(checks, page, url)
  await context.close()
}

/** A frontend's own code: options and answers go between API and browser as they are. */
async function withOwnCode(checks: Checks, page: Page, url: string): Promise<void> {
  const email = 'grete@example.com'
  await page.context().request.post(`${url}/api/v1/users/signup`, { data: { email, password: PASSWORD } })
  await page.goto(`${url}/docs`)
  const tokens: unknown = await page.evaluate(
    `(async () => {
      const post = async (path, body, token) => (await fetch('/api/v1' + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token && { authorization: 'Bearer ' + token }) },
        body: JSON.stringify(body),
      })).json()
      const form = new URLSearchParams({ username: '${email}', password: '${PASSWORD}' })
      const { access_token } = await (await fetch('/api/v1/login/access-token', { method: 'POST', body: form })).json()
      const creation = await post('/users/me/passkeys/options', {}, access_token)
      const created = await navigator.credentials.create({
        publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(creation),
      })
      const passkey = await post('/users/me/passkeys', created.toJSON(), access_token)
      const request = await post('/login/passkey/options', {})
      const used = await navigator.credentials.get({
        publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(request),
      })
      return { passkey, ...(await post('/login/passkey', used.toJSON())) }
    })()`,
  )
  const { access_token } = tokens as { access_token?: unknown }
  checks.seen(
    'a frontend passes options and answers on as they are',
    typeof access_token === 'string',
    JSON.stringify(tokens),
  )
}
