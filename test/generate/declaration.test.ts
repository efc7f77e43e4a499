import { format } from 'prettier'
import { test } from 'tap'
import {
  fieldNames,
  namesInOption,
  withField,
  withOption,
} from '../../src/scripts/generate/edits/declaration.ts'
import { declarationOf } from '../../src/scripts/generate/source/declaration.ts'
import { readField } from '../../src/scripts/generate/grammar/fields.ts'
import { namesOf } from '../../src/scripts/generate/source/names.ts'

const formatted = (source: string) =>
  format(source, { semi: false, singleQuote: true, printWidth: 110, parser: 'typescript' })

const NOTES = `import { day, decimal, flag, oneOf, optional, text } from '../ownership/fields.ts'
import { ownedTable } from '../ownership/owned-table.ts'
import { resource } from '../ownership/resource.ts'

export const notes = ownedTable(
  'notes',
  {
    text: text(1000, { min: 1, example: 'Text of a note' }),
    pinned: flag({ default: false }),
    due: optional(day()),
    price: optional(decimal(10, 2)),
    kind: oneOf(['private', 'shared'], { default: 'private' }),
  },
  { sort: ['due', 'price'], search: ['text'], filter: ['pinned', 'kind', 'due'] },
)

export const noteRoutes = resource(notes, { description: 'Notes of a user.' })
`

const FIELDS = [
  'text:text(1000)',
  'pinned:flag=false',
  'due:day?',
  'price:decimal(10,2)?',
  'kind:oneOf(private,shared)=private',
]

const notes = { ...namesOf('notes'), references: [] }
const nothing = { sort: [], search: [], filter: [] }

void test('the declaration of a resource is what its owner would have written', async (t) => {
  const listing = { sort: ['due', 'price'], search: ['text'], filter: ['pinned', 'kind', 'due'] }
  const source = declarationOf(namesOf('notes'), FIELDS.map(readField), listing, new Map())
  t.equal(await formatted(source), NOTES)
})

void test('a declaration imports what it refers to, and says the name of one and its readers', async (t) => {
  const targets = new Map([
    ['projects', { constant: 'projects', module: './projects.ts' }],
    ['users', { constant: 'users', module: '../database/tables.ts' }],
  ])
  const fields = ['project_id:reference(projects)', 'friend_id:reference(users,set null)?', 'more:json'].map(
    readField,
  )
  const names = namesOf('staff', 'person')
  const source = declarationOf(names, fields, { ...nothing, readers: 'friend_id' }, targets)
  t.equal(
    await formatted(source),
    `import { Type } from '@sinclair/typebox'
import { users } from '../database/tables.ts'
import { json, optional, reference } from '../ownership/fields.ts'
import { ownedTable } from '../ownership/owned-table.ts'
import { resource } from '../ownership/resource.ts'
import { projects } from './projects.ts'

export const staff = ownedTable(
  'staff',
  {
    project_id: reference(() => projects),
    friend_id: optional(reference(() => users, { onDelete: 'set null' })),
    more: json(Type.Unknown()),
  },
  { one: 'person', readers: 'friend_id' },
)

export const personRoutes = resource(staff, { description: 'Staff of a user.' })
`,
  )
})

void test('a field is added behind the others, and to the lists that are asked for', async (t) => {
  const withColour = withField(NOTES, notes, 'colour: flag()')
  const listed = withOption(withOption(withColour, notes, 'sort', 'colour'), notes, 'filter', 'colour')
  t.equal(
    await formatted(listed),
    NOTES.replace("default: 'private' }),\n", (kind) => `${kind}    colour: flag(),\n`)
      .replace("['due', 'price']", "['due', 'price', 'colour']")
      .replace("'kind', 'due']", "'kind', 'due', 'colour']"),
  )
})

void test('a declaration without lists gets them', async (t) => {
  const bare = "export const notes = ownedTable('notes', { text: text(5) })\n"
  const added = withOption(withField(bare, notes, 'due: day()'), notes, 'sort', 'due')
  const more = withOption(added, notes, 'search', 'text')
  t.equal(
    await formatted(more),
    "export const notes = ownedTable('notes', { text: text(5), due: day() }, { sort: ['due'], search: ['text'] })\n",
  )
})

void test('comments, nested braces and texts with brackets are no obstacle', async (t) => {
  const edited = `export const notes = ownedTable('notes', {
  // The first } is a comment.
  text: text(5, { example: 'a } and a \\' quote' }),
  more: json(Type.Object({ due: Type.String() })), // due: is no field
  /* nor is this: */
}, {
  filter: [], // none yet
})
`
  t.strictSame(fieldNames(edited, notes), ['text', 'more'])
  t.strictSame(namesInOption(edited, notes, 'filter'), [])
  const added = withOption(withField(edited, notes, 'due: day()'), notes, 'filter', 'due')
  t.strictSame(fieldNames(added, notes), ['text', 'more', 'due'])
  t.strictSame(namesInOption(added, notes, 'filter'), ['due'])
  t.match(await formatted(added), "filter: ['due'], // none yet")
})

void test('a declaration of another shape is refused with what to do', async (t) => {
  const elsewhere = "const fields = { text: text(5) }\nexport const notes = ownedTable('notes', fields)\n"
  t.throws(
    () => withField(elsewhere, notes, 'due: day()'),
    /src\/resources\/notes\.ts has no ownedTable.* by hand/,
  )
  const options = "export const notes = ownedTable('notes', { text: text(5) }, lists)\n"
  t.throws(() => withOption(options, notes, 'sort', 'text'), /has no \{ … \} behind the fields: .* by hand/)
  const list = "export const notes = ownedTable('notes', { text: text(5) }, { sort: SORTED })\n"
  t.throws(() => withOption(list, notes, 'sort', 'text'), /has no list as its sort: .* by hand/)
})
