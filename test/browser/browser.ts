import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type Page,
  chromium,
} from 'playwright-core'
import type { AxeResults } from 'axe-core'

/** Debian's; playwright-core brings no browser of its own. */
export const CHROMIUM = '/usr/bin/chromium'
export const SCREENSHOTS = 'output/browser'

/** Nothing is fetched beside what is tested. */
const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
]
const TIMEOUT_MS = 20_000

export const launch = () => chromium.launch({ executablePath: CHROMIUM, args })

/** Somebody's browser, and what went wrong in it. */
export interface Window {
  readonly context: BrowserContext
  /** Errors in the console, among them each violation of a policy; scripts that failed. */
  readonly faults: string[]
}

export async function openWindow(browser: Browser, options: BrowserContextOptions = {}): Promise<Window> {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options })
  context.setDefaultTimeout(TIMEOUT_MS)
  const faults: string[] = []
  context.on('console', (message) => {
    if (message.type() === 'error' && !isExpected(message.text())) faults.push(message.text())
  })
  context.on('weberror', (error) => faults.push(String(error.error())))
  return { context, faults }
}

/** A refused request is told in the console too; whoever sent it looks at the answer. The other is Swagger UI's own. */
const isExpected = (text: string) =>
  /the server responded with a status of 4\d\d/.test(text) ||
  text.startsWith('Deprecated: escaping deep link whitespace')

/** As on a small phone. */
const NARROW = 360

/** Keeps a picture of a page, in the colors of day and of night, and as a phone shows it. */
export async function picture(
  page: Page,
  name: string,
  schemes: readonly ('light' | 'dark')[] = ['light', 'dark'],
) {
  for (const colorScheme of schemes) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-${colorScheme}.png`), fullPage: true })
  }
  const viewport = page.viewportSize()
  if (!viewport || schemes.length === 1) return
  await page.setViewportSize({ ...viewport, width: NARROW })
  await page.screenshot({ path: join(SCREENSHOTS, `${name}-narrow.png`), fullPage: true })
  await page.setViewportSize(viewport)
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/**
 * What axe finds against WCAG 2.2 A and AA and its own best practices, in the colors of day and of night.
 *
 * @returns a line for each kind of fault
 */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  const faults: string[] = []
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await page.evaluate(axe)
    const { violations } = await page.evaluate<AxeResults>('axe.run(document, { iframes: false })')
    for (const { id, nodes } of violations)
      faults.push(`${colorScheme}: ${id}: ${nodes.map(({ html }) => html).join(' ')}`)
  }
  return faults
}
