import type { Browser, BrowserContext, Page } from 'playwright-core'
import { accessibilityFaults, openWindow, picture } from './browser.ts'
import type { Checks } from './checks.ts'
import { SwaggerUi } from './swagger-ui.ts'

const FIRST = 'correct horse battery'
const SECOND = 'four words nobody guesses'

/**
 * Somebody signs up, follows the link of the mail, forgets the password, chooses another, and takes a change of address back.
 *
 * @param javaScript whether it runs on mails and pages; Swagger UI needs it in any case
 */
export async function accounts(
  checks: Checks,
  browser: Browser,
  url: string,
  { javaScript }: { javaScript: boolean },
): Promise<void> {
  const reader = await openWindow(browser)
  const mailReader = await openWindow(browser, {
    javaScriptEnabled: javaScript,
    viewport: { width: 900, height: 900 },
  })
  const suffix = javaScript ? '' : '-without-javascript'
  const email = `grace${suffix}@example.com`
  const ui = new SwaggerUi(await reader.context.newPage())
  const inbox = await mailReader.context.newPage()

  /** A picture, and what a reader who can't see it would stumble over. */
  async function look(page: Page, name: string) {
    await picture(page, name + suffix)
    if (!javaScript) return
    const faults = await accessibilityFaults(page)
    checks.seen(`${name}: accessible by day and by night`, faults.length === 0, faults.join('\n'))
  }
  const shows = async (page: Page, heading: string) => {
    const found = await page.getByRole('heading', { level: 1 }).innerText()
    checks.seen(`the page says: ${heading}`, found === heading, found)
  }

  await ui.open(url)
  const body = JSON.stringify({ email, password: FIRST })
  const signedUp = await ui.execute('users-register_user', { body })
  checks.seen('signs up in Swagger UI', signedUp.status === 200, signedUp.shown)

  await openNewest(inbox, url)
  await shows(inbox, 'Confirm your email address for Groundwork')
  checks.seen('the mail is to them', (await inbox.locator('dl').innerText()).includes(email))
  await look(inbox, 'mail-verification')
  const verify = await follow(mailReader.context, inbox, 'Confirm email address')
  await shows(verify, 'Confirm your address')
  await look(verify, 'verify-email')
  await verify.getByRole('button').click()
  await shows(verify, 'Your address is confirmed')
  await look(verify, 'verify-email-done')

  const recovery = await ui.execute('login-recover_password', { email })
  checks.seen('asks for a recovery', recovery.status === 200, recovery.shown)
  await openNewest(inbox, url)
  await shows(inbox, 'Reset your password for Groundwork')
  const reset = await follow(mailReader.context, inbox, 'Reset password')
  await shows(reset, 'Choose a password')
  await look(reset, 'reset-password')
  const field = reset.getByLabel('New password')
  checks.seen(
    'the field waits for the keyboard',
    await field.evaluate((input) => input === input.ownerDocument.activeElement),
  )
  const account = await reset.getByLabel('Account').inputValue()
  checks.seen('the page says whose password it is', account === email, account)
  await field.fill('password123')
  const toggle = reset.getByRole('button', { name: 'Show password' })
  checks.seen('what was typed can be shown where scripts run', (await toggle.isVisible()) === javaScript)
  if (javaScript) {
    await toggle.click()
    checks.seen('and is', (await field.getAttribute('type')) === 'text')
    await look(reset, 'reset-password-shown')
    await field.focus()
  }
  await reset.keyboard.press('Enter')
  const alert = await reset.getByRole('alert').innerText()
  checks.seen('a common password is refused beside its field', alert.includes('among the most common'), alert)
  await look(reset, 'reset-password-refused')
  await reset.getByLabel('New password').fill(SECOND)
  await reset.getByRole('button', { name: 'Save password' }).click()
  await shows(reset, 'Your password was changed')
  await look(reset, 'reset-password-done')

  await openNewest(inbox, url)
  await shows(inbox, 'Your password for Groundwork was changed')
  await inbox.goto(`${url}/inbox`)
  await look(inbox, 'inbox')
  await inbox.getByRole('link', { name: 'Reset your password' }).first().click()
  checks.seen(
    'a mail whose link was used says so',
    (await inbox.locator('main').innerText()).includes('Its link was used'),
  )
  await look(inbox, 'mail-dead-link')
  await reset.goto(`${url}/reset-password?token=nonsense`)
  await shows(reset, 'This link no longer works')
  await look(reset, 'reset-password-dead-link')
  await reset.getByRole('link', { name: 'Ask for a new link' }).click()
  await shows(reset, 'Reset your password')
  await look(reset, 'recover-password')
  await reset.getByLabel('Email address').fill('nobody')
  await reset.getByRole('button', { name: 'Send link' }).click()
  await look(reset, 'recover-password-refused')
  await reset.getByLabel('Email address').fill(email)
  await reset.getByRole('button', { name: 'Send link' }).click()
  await shows(reset, 'Look into your mailbox')
  await look(reset, 'recover-password-done')
  await reset.goto(`${url}/verify-email?token=nonsense`)
  await look(reset, 'verify-email-dead-link')
  await inboxIsKept(checks, ui, inbox, { url, suffix, javaScript })

  await ui.authorize(email, SECOND)
  const me = await ui.execute('login-test_token')
  const { email: signedIn, is_verified } = JSON.parse(me.shown) as { email: string; is_verified: boolean }
  checks.seen('signs in with the new password', signedIn === email && is_verified, me.shown)

  const changed = await ui.execute('users-update_user_me', {
    body: JSON.stringify({ email: `changed-${email}` }),
  })
  checks.seen('changes the address', changed.status === 200, changed.shown)
  await openMail(inbox, url, 'Your email address at Groundwork was changed')
  checks.seen('the address before is told', (await inbox.locator('dl').innerText()).includes(email))
  await look(inbox, 'mail-own-address-changed')
  const undo = await follow(mailReader.context, inbox, 'Restore my address')
  await shows(undo, 'Take back the change of address')
  await look(undo, 'undo-email-change')
  await undo.getByRole('button', { name: 'Restore address' }).click()
  await shows(undo, 'Your address is restored')
  await look(undo, 'undo-email-change-done')
  const signedOut = await ui.execute('login-test_token')
  checks.seen('everybody is signed out', signedOut.status === 401, signedOut.shown)
  await openMail(inbox, url, 'Choose a new password for Groundwork')
  await look(inbox, 'mail-address-restored')
  await shows(await follow(mailReader.context, inbox, 'Choose a password'), 'Choose a password')
  await undo.goto(`${url}/undo-email-change?token=nonsense`)
  await shows(undo, 'This link no longer works')
  await look(undo, 'undo-email-change-dead-link')

  const faults = [...reader.faults, ...mailReader.faults]
  checks.seen('no error in the console, no violation of a policy', faults.length === 0, faults.join('\n'))
  await reader.context.close()
  await mailReader.context.close()
}

/** New mails appear by themselves, are found, and all are deleted. */
async function inboxIsKept(
  checks: Checks,
  ui: SwaggerUi,
  inbox: Page,
  { url, suffix, javaScript }: { url: string; suffix: string; javaScript: boolean },
): Promise<void> {
  const email = `ida${suffix}@example.com`
  await inbox.goto(`${url}/inbox`)
  await ui.execute('users-register_user', { body: JSON.stringify({ email, password: FIRST }) })
  if (!javaScript) await inbox.reload()
  await inbox.getByText(`to ${email}`).waitFor()
  checks.seen('a new mail appears, by itself where scripts run', true)
  await inbox.getByRole('searchbox').fill(email)
  await inbox.keyboard.press('Enter')
  await inbox.waitForURL(/\?q=/)
  checks.seen('a search finds it alone', (await inbox.locator('.mails li').count()) === 1)
  await picture(inbox, `inbox-search${suffix}`)
  await inbox.getByRole('button', { name: 'Delete all mails' }).click()
  await inbox.getByText('Nothing was sent yet').waitFor()
  checks.seen('all can be deleted', true)
  await picture(inbox, `inbox-empty${suffix}`)
}

async function openNewest(inbox: Page, url: string): Promise<void> {
  await inbox.goto(`${url}/inbox`)
  await inbox.locator('.mails a').first().click()
  await inbox.locator('dl').waitFor()
}

/** By its subject: two mails of one change are equally new. */
async function openMail(inbox: Page, url: string, subject: string): Promise<void> {
  await inbox.goto(`${url}/inbox`)
  await inbox.getByRole('link', { name: subject }).first().click()
  await inbox.locator('dl').waitFor()
}

/** Clicks a link of the mail that is open, which opens a window of its own. */
async function follow(context: BrowserContext, inbox: Page, name: string): Promise<Page> {
  // Chromium loses clicks in the frame of a window that is behind another: 3 of 20 (2026-11-30).
  await inbox.bringToFront()
  const opened = context.waitForEvent('page')
  await inbox.frameLocator('iframe').getByRole('link', { name }).first().click()
  const page = await opened
  await page.waitForLoadState()
  return page
}
