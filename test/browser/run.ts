import { execFileSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { accounts } from './accounts.ts'
import { CHROMIUM, SCREENSHOTS, launch } from './browser.ts'
import { Checks } from './checks.ts'
import { passkeys } from './passkeys.ts'
import { reference } from './reference.ts'
import { providers } from './providers.ts'
import { startBuilt } from './service.ts'

/**
 * `npm run test:browser`: the built service, started in an empty folder, used by people with a real browser. Each
 * page is kept as a picture in output/browser/, to be looked at.
 */

if (!existsSync(CHROMIUM)) {
  console.log(`${CHROMIUM} is missing: nothing is tested. Install it with: apt-get install chromium`)
  process.exit(process.env.CI === 'true' ? 1 : 0)
}

const checks = new Checks()
execFileSync(process.execPath, ['src/scripts/build-if-changed.mjs'], { stdio: 'inherit' })
rmSync(SCREENSHOTS, { recursive: true, force: true })
const service = await startBuilt()
const browser = await launch()
try {
  await checks.scenario('Swagger UI', () => reference(checks, browser, service.url))
  await checks.scenario('An account, from signing up to a change of address that is taken back', () =>
    accounts(checks, browser, service.url, { javaScript: true }),
  )
  await checks.scenario('The same, where JavaScript is off on mails and pages', () =>
    accounts(checks, browser, service.url, { javaScript: false }),
  )
  await checks.scenario('Signing in with an identity provider', () => providers(checks, browser))
  await checks.scenario('A passkey, from the first to its removal', () =>
    passkeys(checks, browser, service.url),
  )
} finally {
  await browser.close()
  await service.stop()
}
checks.finish()
