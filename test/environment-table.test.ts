import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { TSchema } from '@sinclair/typebox'
import { format, resolveConfig } from 'prettier'
import { test } from 'tap'
import { Environment } from '../src/config/environment.ts'

const PAGE = fileURLToPath(new URL('../docs/operations.md', import.meta.url))
const EXAMPLE = fileURLToPath(new URL('../.env.example', import.meta.url))
const PLACE = /(?<=<!-- environment -->\n)[^]*(?=<!-- \/environment -->)/

/** The table of names as the schema of the environment has them. */
function environmentTable(): string {
  const rows = Object.entries<TSchema>(Environment.properties).map(
    ([name, { description, default: fallback }]) =>
      `| ${name} | ${fallback === undefined ? '' : `\`${String(fallback)}\``} | ${description} |`,
  )
  return ['', '| name | default | meaning |', '| --- | --- | --- |', ...rows, '', ''].join('\n')
}

const MEND = 'mend it with: UPDATE_DOCS=1 npm test -- test/environment-table.test.ts'

void test('the table of the environment in docs/operations.md is that of the schema', async (t) => {
  const page = readFileSync(PAGE, 'utf8')
  const options = { ...(await resolveConfig(PAGE)), parser: 'markdown' }
  const right = await format(page.replace(PLACE, environmentTable()), options)
  if (process.env.UPDATE_DOCS) writeFileSync(PAGE, right)
  t.match(page, PLACE)
  t.equal(page, right, MEND)
})

/** Every name with what it means, each as it is where nothing is set. */
const example = () =>
  Object.entries<TSchema>(Environment.properties)
    .map(([name, { description, default: fallback }]) => `# ${description}\n# ${name}=${fallback ?? ''}\n`)
    .join('\n')

void test('.env.example has the names of the schema', (t) => {
  if (process.env.UPDATE_DOCS) writeFileSync(EXAMPLE, example())
  t.equal(readFileSync(EXAMPLE, 'utf8'), example(), MEND)
  t.end()
})
