import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { test } from 'tap'
import { createDatabase, dropDatabase, needsPostgres } from '../support/database.ts'
import { templateDatabase } from './support/template.ts'

const PAGE = readFileSync('docs/from-fastapi-template.md', 'utf8')

/** Commands of the page, in their order, with the code that each ends with on these rows; and what the page says comes of it. */
const commands = [
  ...PAGE.matchAll(/<!-- run(?:: (\w+))? -->\s+```(?:sh|sql)\n([^]*?)```(?:\s+```\n([^]*?)```)?/g),
].map(([, how, text = '', output]) => ({ isSql: how === 'sql', code: how === '1' ? 1 : 0, text, output }))

void test('the commands of docs/from-fastapi-template.md do what it says', needsPostgres, async (t) => {
  const template = await templateDatabase(t)
  const server = process.env.TEST_DATABASE_URL!
  const copy = await createDatabase(server)
  t.teardown(() => rmSync('template.dump', { force: true }))
  t.teardown(() => dropDatabase(server, copy))
  const env = {
    ...process.env,
    TEMPLATE_DATABASE_URL: template.url,
    DATABASE_URL: copy,
    MIGRATION_DATABASE_URL: copy,
  }

  t.ok(commands.length >= 6)
  for (const { isSql, code, text, output } of commands) {
    const program = isSql ? 'psql' : 'sh'
    const args = isSql ? ['-v', 'ON_ERROR_STOP=1', '-c', text, copy] : ['-ec', text]
    const ran = spawnSync(program, args, { env, encoding: 'utf8' })
    t.equal(ran.status, code, `${text}\n${ran.stdout}\n${ran.stderr}`)
    if (output === undefined) continue
    const said = ran.stdout.replace(/^>.*\n|^\n/gm, '') + ran.stderr
    t.equal(said.replace(/^Database \w+/m, 'Database app').trim(), output.trim())
  }
})
