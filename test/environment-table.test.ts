import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { TSchema } from '@sinclair/typebox'
import { format, resolveConfig } from 'prettier'
import { test } from 'tap'
import { Environment } from '../src/config/environment.ts'
import { oidcSettings } from '../src/config/sources/oidc.ts'

const PAGE = fileURLToPath(new URL('../docs/operations.md', import.meta.url))
const EXAMPLE = fileURLToPath(new URL('../.env.example', import.meta.url))
const PLACE = /(?<=<!-- environment -->\n)[^]*(?=<!-- \/environment -->)/

/** The table of settings, from their schema. */
function environmentTable(): string {
  const rows = Object.entries<TSchema>(Environment.properties).map(
    ([name, { description, default: fallback }]) =>
      `| ${name} | ${fallback === undefined ? '' : `\`${String(fallback)}\``} | ${description} |`,
  )
  const providers = Object.entries(oidcSettings).map(
    ([part, description]) => `| OIDC_\\<NAME>_${part} | | ${description} |`,
  )
  return ['', '| name | default | meaning |', '| --- | --- | --- |', ...rows, ...providers, '', ''].join('\n')
}

const MEND = 'mend it with: UPDATE_DOCS=1 npm test -- test/environment-table.test.ts'

void test('the table of settings in docs/operations.md matches their schema', async (t) => {
  const page = readFileSync(PAGE, 'utf8')
  const options = { ...(await resolveConfig(PAGE)), parser: 'markdown' }
  const right = await format(page.replace(PLACE, environmentTable()), options)
  if (process.env.UPDATE_DOCS) writeFileSync(PAGE, right)
  t.match(page, PLACE)
  t.equal(page, right, MEND)
})

/** Every setting with its description, commented out at its default. */
const example = () =>
  [
    ...Object.entries<TSchema>(Environment.properties).map(
      ([name, { description, default: fallback }]) => `# ${description}\n# ${name}=${fallback ?? ''}\n`,
    ),
    ...Object.entries(oidcSettings).map(
      ([part, description]) => `# ${description}\n# OIDC_<NAME>_${part}=\n`,
    ),
  ].join('\n')

void test('.env.example matches the schema of the settings', (t) => {
  if (process.env.UPDATE_DOCS) writeFileSync(EXAMPLE, example())
  t.equal(readFileSync(EXAMPLE, 'utf8'), example(), MEND)
  t.end()
})
