import type { Browser } from 'playwright-core'
import { type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'
import { accessibilityFaults, openWindow, picture } from './browser.ts'
import type { Checks } from './checks.ts'
import { startBuilt } from './service.ts'

/**
 * Somebody goes to an identity provider on another site and back, as a real browser does with the cookie of the way: it has
 * to be sent when the provider leads back, and nowhere else.
 */
export async function providers(checks: Checks, browser: Browser): Promise<void> {
  const closing: (() => Promise<void>)[] = []
  let provider: IdentityProvider | undefined
  const service = await startBuilt(async (url) => {
    const callback = `${url}/api/v1/login/oidc/acme/callback`
    provider = await startIdentityProvider({ teardown: (close) => closing.push(close) }, { callback })
    return provider.env
  })
  closing.push(service.stop)
  try {
    const { context, faults } = await openWindow(browser)
    const page = await context.newPage()
    const shows = async (heading: string) => {
      const found = await page.getByRole('heading', { level: 1 }).innerText()
      checks.seen(`the page says: ${heading}`, found === heading, found)
    }
    async function look(name: string) {
      await picture(page, name)
      const seen = await accessibilityFaults(page)
      checks.seen(`${name}: accessible by day and by night`, seen.length === 0, seen.join('\n'))
    }

    await page.goto(`${service.url}/sign-in`)
    await shows('Sign in')
    await look('sign-in')
    provider!.somebody = null
    await page.getByRole('link', { name: 'Go on with Acme' }).click()
    await page.getByRole('alert').waitFor()
    await shows('Sign in')
    await look('sign-in-refused')

    provider!.somebody = { sub: 'ada', email: 'ada@example.com', email_verified: true, name: 'Ada' }
    await page.getByRole('link', { name: 'Go on with Acme' }).click()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    await shows('You are back')
    await look('sign-in-back')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await shows('Set up an authenticator')
    checks.seen(
      'no cookie of the way is left',
      (await context.cookies()).every(({ name }) => !name.startsWith('oidc_')),
    )
    checks.seen('nothing went wrong in the browser', faults.length === 0, faults.join('\n'))
    await context.close()
  } finally {
    for (const close of closing.toReversed()) await close()
  }
}
