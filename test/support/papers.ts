import { readFileSync } from 'node:fs'
import { sql } from 'drizzle-orm'
import { define } from '../../src/contract/errors.ts'
import type { Database } from '../../src/database/connect.ts'
import { optional, text } from '../../src/ownership/fields.ts'
import { ownedTable } from '../../src/ownership/owned-table.ts'
import { resource } from '../../src/ownership/resource.ts'

/**
 * A resource of tests alone, in every test's database and service: what holds for any resource is tried on this one, and
 * none of the product's is needed.
 */

export const PaperNotFound = define(404, 'paper_not_found', 'Paper not found')

export const papers = ownedTable(
  'papers',
  {
    title: text(255, { min: 1, example: 'A paper' }),
    description: optional(text(255, { example: 'On engines' })),
  },
  { notFound: PaperNotFound, sort: ['title'], search: ['title', 'description'] },
)

export const paperRoutes = resource(papers, { description: 'Only for tests.' })

/** In SQL, as drizzle-kit takes a second to write it; papers.test.ts compares. */
export const MAKE_PAPERS = readFileSync(new URL('papers.sql', import.meta.url), 'utf8')

export const createPapers = (db: Database) => db.execute(sql.raw(MAKE_PAPERS))
