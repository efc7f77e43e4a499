import { Type } from '@sinclair/typebox'
import { readFileSync } from 'node:fs'
import { sql } from 'drizzle-orm'
import { varchar } from 'drizzle-orm/pg-core'
import {
  type SignedInApp,
  Id,
  IdempotencyKey,
  IfMatch,
  IfNoneMatch,
  Message,
  NullableText,
  Text,
  Time,
  component,
  listQuery,
  operation,
  pageOf,
} from '../../src/contract/contract.ts'
import type { Database } from '../../src/database/connect.ts'
import { ownedTable } from '../../src/database/tables.ts'
import {
  NotEnoughPermissions,
  PreconditionFailed,
  RowQuotaReached,
  define,
} from '../../src/contract/errors.ts'

/**
 * A resource of tests alone, in every test's database and service: what holds for any resource is tried on this one, and
 * none of the product's is needed.
 */

export const PaperNotFound = define(404, 'paper_not_found', 'Paper not found')

export const papers = ownedTable(
  'papers',
  PaperNotFound,
  { title: varchar({ length: 255 }).notNull(), description: varchar({ length: 255 }) },
  { sort: ['title'], search: ['title', 'description'] },
)

/** In SQL, as drizzle-kit takes a second to write it; papers.test.ts compares. */
export const MAKE_PAPERS = readFileSync(new URL('papers.sql', import.meta.url), 'utf8')

export const createPapers = (db: Database) => db.execute(sql.raw(MAKE_PAPERS))

const title = Text(255, 1, { examples: ['A paper'] })
const description = NullableText(255, { examples: ['On engines'] })
const Paper = component(
  'PaperPublic',
  Type.Object({ id: Id, title, description, owner_id: Id, created_at: Time }),
)
const Papers = component('PapersPublic', pageOf(Paper))
const PaperCreate = component('PaperCreate', Type.Object({ title, description: Type.Optional(description) }))
const PaperUpdate = component('PaperUpdate', Type.Partial(Type.Object({ title, description })))

const params = Type.Object({ id: { ...Id, description: 'Which paper.' } })
const errors = [PaperNotFound, NotEnoughPermissions]
const about = (name: string) => ({ operationId: `papers-${name}`, summary: name, description: name })

const readPapers = operation({
  ...about('read_papers'),
  querystring: listQuery('title or description', ['created_at', 'title']),
  response: { 200: Papers },
})
const createPaper = operation({
  ...about('create_paper'),
  headers: IdempotencyKey,
  body: PaperCreate,
  response: { 200: Paper },
  versioned: true,
  errors: [RowQuotaReached],
})
const readPaper = operation({
  ...about('read_paper'),
  params,
  headers: IfNoneMatch,
  response: { 200: Paper },
  versioned: true,
  errors,
})
const updatePaper = operation({
  ...about('update_paper'),
  params,
  headers: IfMatch,
  body: PaperUpdate,
  response: { 200: Paper },
  versioned: true,
  errors: [...errors, PreconditionFailed],
})
const deletePaper = operation({
  ...about('delete_paper'),
  params,
  headers: IfMatch,
  response: { 200: Message },
  errors: [...errors, PreconditionFailed],
})

export function paperRoutes(app: SignedInApp) {
  app.get('/papers/', { schema: readPapers }, (request) => request.owned(papers).page(request.query))
  app.post('/papers/', { schema: createPaper }, (request) => request.owned(papers).create(request.body))
  app.get('/papers/:id', { schema: readPaper }, (request) => request.owned(papers).get(request.params.id))
  app.put('/papers/:id', { schema: updatePaper }, (request) =>
    request.owned(papers).update(request.params.id, request.body),
  )
  app.delete('/papers/:id', { schema: deletePaper }, async (request) => {
    await request.owned(papers).delete(request.params.id)
    return { message: 'Paper deleted successfully' }
  })
}
