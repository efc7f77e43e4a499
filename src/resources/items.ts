import { optional, text } from '../ownership/fields.ts'
import { ownedTable } from '../ownership/owned-table.ts'
import { resource } from '../ownership/resource.ts'

export const items = ownedTable(
  'items',
  {
    title: text(255, { min: 1, example: 'Analytical Engine' }),
    description: optional(text(255, { example: 'Notes on the engine' })),
  },
  { sort: ['title'], search: ['title', 'description'] },
)

export const itemRoutes = resource(items, {
  description: 'A resource that belongs to its owner: the pattern for your own.',
})
