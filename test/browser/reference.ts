import type { Browser, Page } from 'playwright-core'
import { resources } from '../../src/app.ts'
import { tagsWith } from '../../src/contract/document.ts'
import { openWindow, picture } from './browser.ts'
import type { Checks } from './checks.ts'
import { SwaggerUi } from './swagger-ui.ts'

/** Somebody reads the API's reference for the first time, and tries it. */
export async function reference(checks: Checks, browser: Browser, url: string): Promise<void> {
  const { context, faults } = await openWindow(browser)
  const page = await context.newPage()
  const ui = new SwaggerUi(page)
  await ui.open(url)
  await picture(page, 'reference')
  await page.locator('html.dark-mode').waitFor()
  const [dark, light] = [await backgroundOf(page), await inLight(page)]
  checks.seen('it is dark where the system is', dark === 'rgb(28, 32, 34)', dark)
  checks.seen('and light again without a reload', light === 'rgb(250, 250, 250)', light)
  checks.seen('it is titled', (await page.title()) === 'Groundwork', await page.title())
  const groups = await page
    .locator('.opblock-tag')
    .evaluateAll((tags) => tags.map((tag) => tag.getAttribute('data-tag')))
  checks.seen(
    'operations stand in groups',
    groups.join() ===
      tagsWith(resources.map(({ tag }) => tag))
        .map(({ name }) => name)
        .join(),
    groups.join(),
  )

  const links = await page
    .locator('.info .description p a')
    .evaluateAll((all) => all.map((link) => link.getAttribute('href')))
  checks.seen(
    'it leads to openapi.json and the inbox',
    links.join() === '/api/v1/openapi.json,/inbox',
    links.join(),
  )

  const refused = await ui.execute('items-read_items')
  checks.seen(
    'without signing in, it says so',
    refused.status === 401 && refused.shown.includes('Not authenticated'),
    refused.shown,
  )

  const error = await ui.authorizeError('admin@example.com', 'not the password')
  checks.seen('Authorize says why it refused', error === 'Incorrect email or password', error)
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.locator('.modal-ux').screenshot({ path: 'output/browser/reference-authorize-dark.png' })
  await page.emulateMedia({ colorScheme: 'light' })
  await ui.closeAuthorize()
  await ui.authorize('admin@example.com', 'changethis')
  checks.seen('Authorize signs in with address and password', await ui.isAuthorized())

  const created = await ui.execute('items-create_item')
  checks.seen('the example of the reference can be sent as it is', created.status === 200, created.shown)
  const { id } = JSON.parse(created.shown) as { id: string }
  await picture(page, 'reference-create', ['light'])

  const invalid = await ui.execute('items-create_item', { body: '{"title": ""}' })
  checks.seen(
    'a 422 says where and what',
    invalid.status === 422 && /"title"[^]*String should have at least 1 character/.test(invalid.shown),
    invalid.shown,
  )
  await ui
    .operation('items-create_item')
    .locator('.responses-wrapper')
    .screenshot({ path: 'output/browser/reference-422.png' })

  const listed = await ui.execute('items-read_items')
  checks.seen('a list shows it', listed.status === 200 && listed.shown.includes(id), listed.shown)

  await page.reload()
  await page.locator('.opblock').first().waitFor()
  checks.seen('a reload keeps the authorization', await ui.isAuthorized())
  const deleted = await ui.execute('items-delete_item', { id })
  checks.seen(
    'it can be deleted',
    deleted.status === 200 && deleted.shown.includes('Item deleted successfully'),
    deleted.shown,
  )
  const gone = await ui.execute('items-read_item', { id })
  checks.seen('and is gone', gone.status === 404 && gone.shown.includes('Item not found'), gone.shown)

  checks.seen('no error in the console, no violation of the policy', faults.length === 0, faults.join('\n'))
  await context.close()
}

const backgroundOf = (page: Page) => page.evaluate<string>('getComputedStyle(document.body).backgroundColor')

/** The background after the system changed to light. */
async function inLight(page: Page): Promise<string> {
  await page.emulateMedia({ colorScheme: 'light' })
  await page.locator('html:not(.dark-mode)').waitFor()
  return backgroundOf(page)
}
