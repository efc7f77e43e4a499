import { format } from 'prettier'
import { test } from 'tap'
import { resources } from '../../src/app.ts'
import { readField } from '../../src/scripts/generate/grammar/fields.ts'
import { namesOf } from '../../src/scripts/generate/source/names.ts'
import { parentsOf } from '../../src/scripts/generate/source/parents.ts'
import { targetsOf } from '../../src/scripts/generate/source/targets.ts'
import { testOf } from '../../src/scripts/generate/source/test.ts'

const NONE = { sort: [], search: [], filter: [] }

void test('the test of a resource says what the resource is', async (t) => {
  const fields = [
    'text:text(1000)',
    'done:flag=false',
    'due:day?',
    'reader_id:reference(users,set null)?',
  ].map(readField)
  const listing = { sort: ['due'], search: ['text'], filter: ['done', 'due'], readers: 'reader_id' }
  const source = await format(testOf(namesOf('notes'), fields, listing, []), { parser: 'typescript' })
  for (const sentence of [
    'a note reads back as it was created',
    "another user's note is 403",
    'whom reader_id names can read a note, and not change it',
    "a list has one's own notes",
  ])
    t.match(source, sentence)
  for (const asked of ['sort=due', 'q=', 'done=', 'due=']) t.match(source, asked, `it asks for ${asked}`)
})

void test('the test of a resource makes the rows that it refers to first', async (t) => {
  const parent = {
    table: 'projects',
    one: 'project',
    path: '/api/v1/projects/',
    values: { name: 'a' },
    needs: {},
  }
  const fields = ['title:text', 'project_id:reference(projects)'].map(readField)
  const source = await format(testOf(namesOf('tasks'), fields, NONE, [parent]), { parser: 'typescript' })
  t.match(source, /const project = await create\(\{ name: "a" \}, "\/projects\/"\)/)
  t.match(source, /project_id: project\.id/)
})

void test('a field refers to a resource that is there, or to users', (t) => {
  const targets = (field: string) => targetsOf([readField(field)], 'notes', 'src/resources/notes.ts')
  t.same(targets('owner:reference(users)').get('users'), {
    constant: 'users',
    module: '../database/tables.ts',
  })
  t.throws(() => targets('pear_id:reference(pears)'), /there is no resource pears/)
  t.throws(() => targets('note_id:reference(notes)'), /the first of notes has none to refer to/)
  t.equal(targets('note_id:reference(notes)?').size, 0)
  t.same(parentsOf(['nothing']), [])
  t.end()
})

void test('rows of a declared resource are made with the fields that they need', (t) => {
  const tables = resources.map(({ tag }) => tag.name)
  const parents = parentsOf(tables)
  t.same(new Set(parents.map(({ table }) => table)), new Set(tables))
  for (const { path, values } of parents) {
    t.match(path, /^\/api\/v1\//)
    t.type(values, 'object')
  }
  t.end()
})
