import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { getTableConfig, pgTable } from 'drizzle-orm/pg-core'
import { type Test, test } from 'tap'
import type { SignedInApp } from '../../src/contract/contract.ts'
import type { Resource } from '../../src/http/scopes.ts'
import { type Field, columnOf } from '../../src/ownership/fields.ts'
import { isOwned } from '../../src/ownership/owned-table.ts'
import { isAnswer, isRefused } from '../support/answers.ts'
import { documentOf, operationsOf } from '../support/document.ts'
import { type Person, startService } from '../support/service.ts'
import { createTables } from '../support/tables.ts'

/** The snippets of docs/resources.md do on the production app what the page says of them. */

const PAGE = readFileSync('docs/resources.md', 'utf8')
/** Those that have a name, and the declaration in the steps. */
const SNIPPET = /<!-- (?:snippet: |step: append src\/resources\/)(\S+\.ts) -->\n\n *```ts\n([\s\S]*?)\n *```/g

/** A product may have notes and tasks of its own, so the page's are called `docnotes` and `doctasks` here. */
const renamed = (text: string) =>
  text
    .replaceAll(/(?<!\w)(?=note|task|project|notice|label|badge)/g, 'doc')
    .replaceAll(/(?<!\w)(?:Note|Task|Project|Notice|Label|Badge)/g, (word) => `Doc${word.toLowerCase()}`)

/** Writes modules beside each other; what they import from `../` is in src. */
function written(t: Test, modules: Record<string, string>) {
  const folder = t.testdir()
  const src = relative(folder, resolve('src')).split(sep).join('/')
  const files = Object.entries(modules).map(([name, text]) => [
    renamed(name),
    renamed(text).replaceAll("from '../", `from '${src}/`),
  ])
  t.testdir(Object.fromEntries(files) as Record<string, string>)
  return folder
}

const load = async (folder: string, name: string) =>
  (await import(pathToFileURL(join(folder, name)).href)) as Record<string, unknown>

const snippets = Object.fromEntries([...PAGE.matchAll(SNIPPET)].map(([, name, text]) => [name!, text!]))

/** Rows of the table of fields: what is declared, its column, filter and sort. */
const kinds = [
  ...PAGE.matchAll(/^\| `([a-zA-Z]+\([^`]*\))` +\| `([^`]+)` +\| [^|]* \| (\w+) +\| (\w+) +\|$/gm),
].map(([, source, column, filter, sort]) => ({ source: source!, column, filter, sort }))

const KINDS = `
import { Type } from '@sinclair/typebox'
import { real } from 'drizzle-orm/pg-core'
import * as fields from '../ownership/fields.ts'
import { projects } from './projects.ts'

const { text, int, decimal, flag, time, day, oneOf, list, json, uuid, email, url, reference, column } = fields
export const kinds = [${kinds.map(({ source }) => source).join(', ')}]
`

void test('docs/resources.md', async (t) => {
  const folder = written(t, { ...snippets, 'kinds.ts': KINDS })
  const loaded = await Promise.all(Object.keys(snippets).map((name) => load(folder, renamed(name))))
  const exported = loaded.flatMap((module) => Object.entries(module))
  const resources = exported.map(([, value]) => value).filter((value) => typeof value === 'function')
  // Few rows, so that a test can reach the limit.
  const service = await startService(
    t,
    { MAX_ROWS_PER_USER: '20' },
    { resources: resources as Resource<SignedInApp>[] },
  )
  const { app, call, person } = service
  await createTables(app.db, Object.fromEntries(exported.filter(([, value]) => isOwned(value))))

  const create = async (as: Person, path: string, body: object) =>
    (await call('POST', path, { as, body })).body
  const titles = async (as: Person, path: string) =>
    ((await call('GET', path, { as })).body.data as { title: string }[]).map(({ title }) => title)
  /** Somebody with a project. */
  const withProject = async () => {
    const owner = await person()
    return { owner, project: await create(owner, '/docprojects/', { name: 'Engine' }) }
  }

  await t.test('a declaration of a dozen lines gives six operations', (t) => {
    t.ok(snippets['notes.ts']!.split('\n').length <= 12)
    const operations = operationsOf(documentOf(app)).filter(({ path }) => path.includes('/docnotes/'))
    t.strictSame(
      new Set(operations.map(({ method, path }) => `${method} ${path}`)),
      new Set([
        'GET /api/v1/docnotes/',
        'POST /api/v1/docnotes/',
        'POST /api/v1/docnotes/batch',
        'GET /api/v1/docnotes/{id}',
        'PUT /api/v1/docnotes/{id}',
        'DELETE /api/v1/docnotes/{id}',
      ]),
    )
    t.end()
  })

  await t.test('what a creation leaves out has its default, or is null', async (t) => {
    const note = await create(await person(), '/docnotes/', { text: 'Oil the gears' })
    t.match(note, { text: 'Oil the gears', pinned: false, due: null })
  })

  await t.test('each kind of field has the column, filter and order of the table of fields', async (t) => {
    const module = await load(folder, 'kinds.ts')
    const declared = (module.kinds as Field[]).map((field, at) => told(kinds[at]!.source, field))
    t.strictSame(declared, kinds)
    const makers = Object.keys(await import('../../src/ownership/fields.ts'))
    const named = new Set(kinds.map(({ source }) => source.split('(', 1)[0]!))
    const others = ['optional', 'asField', 'columnOf', 'answered', 'sent']
    t.strictSame(new Set([...named, ...others]), new Set(makers), 'it has every kind')
  })

  await t.test('lists are filtered by values, ranges and null, together', async (t) => {
    const { owner, project } = await withProject()
    const add = (title: string, more: object) =>
      create(owner, '/doctasks/', { title, docproject_id: project.id, ...more })
    await add('January', { due: '2026-01-15' })
    await add('February', { due: '2026-02-15', status: 'done' })
    await add('Some day', {})
    const list = (query: string) => titles(owner, `/doctasks/?sort=due&${query}`)
    t.strictSame(await list('status=open'), ['January', 'Some day'])
    t.strictSame(await list('status=open&status=done'), ['January', 'February', 'Some day'])
    t.strictSame(await list('due[gte]=2026-01-15&due[lt]=2026-02-15'), ['January'])
    t.strictSame(await list('due[gt]=2026-01-15'), ['February'])
    t.strictSame(await list('due[lte]=2026-01-15'), ['January'])
    t.strictSame(await list('due[null]=true'), ['Some day'])
    t.strictSame(await list('due[null]=false&status=done'), ['February'])
    t.strictSame(await list('q=SOME'), ['Some day'])
    t.strictSame(await list('limit=1&skip=1'), ['February'])
    t.strictSame(
      await titles(owner, '/doctasks/?sort=-due'),
      ['February', 'January', 'Some day'],
      'rows without a value are last',
    )
    const first = await call('GET', '/doctasks/?sort=due&status=open&limit=1', { as: owner })
    t.equal(first.body.count, 2)
    t.strictSame(await list(`status=open&limit=1&cursor=${first.body.next_cursor}`), ['Some day'])
    const other = await call('GET', `/doctasks/?sort=due&cursor=${first.body.next_cursor}`, { as: owner })
    isRefused(t, other, ['query.cursor'], 'a cursor is of the same filters')
    isRefused(t, await call('GET', '/doctasks/?status=late', { as: owner }), ['query.status.0'])
  })

  await t.test('a reference to nothing and one to a row of somebody else are the same 422', async (t) => {
    const { owner } = await withProject()
    const { project } = await withProject()
    const refer = (id: string) =>
      call('POST', '/doctasks/', { as: owner, body: { title: 'Oil', docproject_id: id } })
    const unknown = await refer(randomUUID())
    isRefused(t, unknown, ['body.docproject_id'])
    isAnswer(t, await refer(project.id), 422, unknown.body)
  })

  await t.test(
    'a list under a parent has its rows, and is 403 or 404 where that may not be read',
    async (t) => {
      const { owner, project } = await withProject()
      const other = await create(owner, '/docprojects/', { name: 'Loom' })
      await create(owner, '/doctasks/', { title: 'Oil', docproject_id: project.id })
      await create(owner, '/doctasks/', { title: 'Weave', docproject_id: other.id })
      t.strictSame(await titles(owner, `/docprojects/${project.id}/doctasks/`), ['Oil'])
      t.strictSame(await titles(owner, `/docprojects/${project.id}/doctasks/?status=done`), [])
      const list = (id: string, as: Person) => call('GET', `/docprojects/${id}/doctasks/`, { as })
      isAnswer(t, await list(project.id, await person()), 403, 'Not enough permissions')
      isAnswer(t, await list(randomUUID(), owner), 404, 'Docproject not found')
    },
  )

  await t.test('an owner has each unique value once, and another owner has it too', async (t) => {
    const { owner } = await withProject()
    const again = await call('POST', '/docprojects/', { as: owner, body: { name: 'Engine' } })
    t.match(again, { status: 409, body: { code: 'already_exists' } })
    t.match((await withProject()).project, { name: 'Engine' })
  })

  await t.test(
    'an assignee reads a task and ticks it off, changes nothing else and deletes nothing',
    async (t) => {
      const { owner, project } = await withProject()
      const assignee = await person()
      const body = { title: 'Oil', docproject_id: project.id, assignee_id: assignee.id }
      const { id } = await create(owner, '/doctasks/', body)
      const path = `/doctasks/${id}`
      t.strictSame(await titles(assignee, '/doctasks/'), ['Oil'])
      const change = (body: object, as: Person) => call('PUT', path, { as, body })
      isAnswer(t, await change({ title: 'Wait' }, assignee), 403, 'Not enough permissions')
      isAnswer(t, await change({ status: 'done', title: 'Wait' }, assignee), 403, 'Not enough permissions')
      t.match(await change({ status: 'done' }, assignee), {
        status: 200,
        body: { title: 'Oil', status: 'done' },
      })
      isAnswer(t, await call('DELETE', path, { as: assignee }), 403, 'Not enough permissions')
      isAnswer(t, await change({ status: 'open' }, await person()), 403, 'Not enough permissions')
      const of = `/docprojects/${project.id}`
      isAnswer(
        t,
        await call('GET', of, { as: assignee }),
        403,
        'Not enough permissions',
        'its project is not shared',
      )
    },
  )

  await t.test('a condition in SQL shares rows with everybody, for reading', async (t) => {
    const notice = await create(await person(), '/docnotices/', { title: 'Closed on Monday' })
    const reader = await person()
    isAnswer(t, await call('GET', `/docnotices/${notice.id}`, { as: reader }), 200, notice)
    const change = await call('PUT', `/docnotices/${notice.id}`, { as: reader, body: { title: 'Open' } })
    isAnswer(t, change, 403, 'Not enough permissions')
  })

  await t.test('many rows are created in their order, all or none', async (t) => {
    const { owner, project } = await withProject()
    const batch = (data: object[]) => call('POST', '/doctasks/batch', { as: owner, body: { data } })
    const task = (title: string, of = project.id as string) => ({ title, docproject_id: of })
    const { body } = await batch([task('One'), task('Two')])
    t.match(body.data, [{ title: 'One' }, { title: 'Two' }])
    isRefused(t, await batch([task('Three'), task('')]), ['body.data.1.title'])
    isRefused(t, await batch([task('Three'), task('Four', randomUUID())]), ['body.data.docproject_id'])
    t.equal((await titles(owner, '/doctasks/')).length, 2)
  })

  await t.test('a condition counts, sums and finds the least of what one may read', async (t) => {
    const { owner, project } = await withProject()
    const add = (more: object) =>
      create(owner, '/doctasks/', { title: 'Oil', docproject_id: project.id, ...more })
    await add({ due: '2026-01-15', hours: 2 })
    await add({ due: '2026-01-10', hours: 3 })
    await add({ due: '2026-01-05', hours: 5, status: 'done' })
    await add({ due: '2026-03-01' })
    const overdue = (as: Person) => call('GET', '/doctasks/overdue/?by=2026-02-01', { as })
    isAnswer(t, await overdue(owner), 200, { count: 2, hours: '5', oldest: '2026-01-10' })
    isAnswer(t, await overdue(await person()), 200, { count: 0, hours: '0', oldest: null })
  })

  await t.test('a transaction keeps all that was done in it, or nothing', async (t) => {
    const owner = await person()
    const plan = (name: string, many: number) =>
      call('POST', '/docprojects/plan/', { as: owner, body: { name, titles: Array(many).fill('Oil') } })
    const { status, body } = await plan('Engine', 2)
    t.equal(status, 200)
    t.strictSame(await titles(owner, `/docprojects/${body.id}/doctasks/`), ['Oil', 'Oil'])
    t.match(await plan('Loom', 21), { status: 403, body: { code: 'row_quota_reached' } })
    t.equal((await call('GET', '/docprojects/', { as: owner })).body.count, 1)
  })

  await t.test(
    'an operation that was left out is 405, and one by hand takes the place of another',
    async (t) => {
      const owner = await person()
      const label = await create(owner, '/doclabels/', { name: 'Brass' })
      const many = await call('POST', '/doclabels/batch', { as: owner, body: { data: [{ name: 'Iron' }] } })
      isAnswer(t, many, 405, 'Method Not Allowed')
      const change = (name: string, as = owner) =>
        call('PUT', `/doclabels/${label.id}`, { as, body: { name } })
      isRefused(t, await change(' '), ['body.name'])
      isAnswer(t, await change('Iron'), 200, { ...label, name: 'Iron' })
      isAnswer(t, await change('Gold', await person()), 403, 'Not enough permissions')
    },
  )

  await t.test('routes by hand do what those of a declaration do', async (t) => {
    const owner = await person()
    const badge = await create(owner, '/docbadges/', { name: 'First' })
    const path = `/docbadges/${badge.id}`
    isAnswer(t, await call('GET', path, { as: owner }), 200, badge)
    t.strictSame((await call('GET', '/docbadges/?limit=1', { as: owner })).body.data, [badge])
    isAnswer(t, await call('PUT', path, { as: owner, body: { name: 'Best' } }), 200, {
      ...badge,
      name: 'Best',
    })
    isAnswer(t, await call('DELETE', path, { as: owner }), 200, { message: 'Docbadge deleted successfully' })
    isAnswer(t, await call('GET', path, { as: owner }), 404, 'Docbadge not found')
  })
})

/** What the table of fields says of a kind. */
function told(source: string, field: Field) {
  const table = pgTable('kinds', { kind: columnOf(field) })
  const column = getTableConfig(table).columns[0]!.getSQLType().replace(' (', '(')
  return { source, column, filter: field.filter, sort: field.isSortable ? 'yes' : 'no' }
}

void test('the snippets of docs/resources.md pass the compiler', (t) => {
  const root = relative(t.testdirName, '.')
  // What plugins add to requests is declared in src.
  const config = { extends: `${root}/tsconfig.json`, include: ['*.ts', `${root}/src`] }
  const folder = written(t, { ...snippets, 'tsconfig.json': JSON.stringify(config) })
  // Without the hooks that tap gives each process.
  const { stdout, stderr } = spawnSync('env', ['-u', 'NODE_OPTIONS', 'node_modules/.bin/tsc', '-p', folder])
  t.equal(`${stdout.toString()}${stderr.toString()}`, '')
  t.end()
})
