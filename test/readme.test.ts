import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { TSchema } from '@sinclair/typebox'
import { format, resolveConfig } from 'prettier'
import { test } from 'tap'
import { Environment } from '../src/config/environment.ts'

const README = fileURLToPath(new URL('../README.md', import.meta.url))
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

void test("README's table of the environment is that of the schema", async (t) => {
  const readme = readFileSync(README, 'utf8')
  const options = { ...(await resolveConfig(README)), parser: 'markdown' }
  const right = await format(readme.replace(PLACE, environmentTable()), options)
  if (process.env.UPDATE_README) writeFileSync(README, right)
  t.equal(readme, right, 'mend it with: UPDATE_README=1 npx tap test/readme.test.ts')
})

/** Every name with what it means, each as it is where nothing is set. */
const example = () =>
  Object.entries<TSchema>(Environment.properties)
    .map(([name, { description, default: fallback }]) => `# ${description}\n# ${name}=${fallback ?? ''}\n`)
    .join('\n')

void test('.env.example has the names of the schema', (t) => {
  if (process.env.UPDATE_README) writeFileSync(EXAMPLE, example())
  t.equal(
    readFileSync(EXAMPLE, 'utf8'),
    example(),
    'mend it with: UPDATE_README=1 npx tap test/readme.test.ts',
  )
  t.end()
})
