import { test } from 'tap'
import { users } from '../../../src/database/tables.ts'
import { flag, list, optional, reference, text } from '../../../src/ownership/fields.ts'
import { ownedTable } from '../../../src/ownership/owned-table.ts'
import { resource } from '../../../src/ownership/resource.ts'
import { drawers } from '../../support/specimens.ts'

void test('a declaration that cannot work stops the start, and says why', (t) => {
  const words = text(100)
  const tags = list(text(10))
  const drawer_id = reference(() => drawers)
  const refused: [why: RegExp, declare: () => unknown][] = [
    [/q looks into/, () => ownedTable('wrong', { done: flag() }, { search: ['done'] })],
    [/can't be sorted by tags/, () => ownedTable('wrong', { tags }, { sort: ['tags'] })],
    [/can't be filtered by tags/, () => ownedTable('wrong', { tags }, { filter: ['tags'] })],
    [/can't be filtered by long/, () => ownedTable('wrong', { long: text(501) }, { filter: ['long'] })],
    [/can't be named limit/, () => ownedTable('wrong', { limit: words }, { filter: ['limit'] })],
    [/drawer_id names no user/, () => ownedTable('wrong', { drawer_id }, { readers: 'drawer_id' })],
    [/words names no user/, () => ownedTable('wrong', { words }, { changers: 'words' })],
    [
      /can't be set to null/,
      () => ownedTable('wrong', { drawer_id: reference(() => drawers, { onDelete: 'set null' }) }),
    ],
    [/its own created_at/, () => ownedTable('wrong', { created_at: words })],
    [/can't be called so/, () => resource(ownedTable('news', { words }), { description: '' })],
    [
      /words must be a reference/,
      () =>
        resource(ownedTable('wrongs', { words }, { filter: ['words'] }), {
          description: '',
          under: ['words'],
        }),
    ],
  ]
  for (const [why, declare] of refused) t.throws(declare, { name: 'TypeError', message: why })
  const user_id = optional(reference(() => users, { onDelete: 'set null' }))
  t.doesNotThrow(() => ownedTable('right', { user_id }, { readers: 'user_id', one: 'wright' }))
  t.end()
})
