import { type TSchema, type TUnsafe, Type } from '@sinclair/typebox'
import { getTableName } from 'drizzle-orm'
import {
  Id,
  IdempotencyKey,
  IfMatch,
  IfNoneMatch,
  Message,
  type SignedIn,
  type SignedInApp,
  Time,
  component,
  listQuery,
  operation,
  pageOf,
} from '../contract/contract.ts'
import {
  AlreadyExists,
  type ApiErrorKind,
  NotEnoughPermissions,
  PreconditionFailed,
  RowQuotaReached,
  StillReferenced,
} from '../contract/errors.ts'
import { answered, sent } from './fields.ts'
import { filterQuery } from './list/filters.ts'
import type { PageOf } from './list/page.ts'
import { isShared } from './access.ts'
import { article, capitalized, inWords, pascalCase, slug } from './names.ts'
import { type OwnedTable, type Ownership, type RevealedTable, isNeeded, reveal } from './owned-table.ts'

/**
 * The routes of an owned table, from its declaration: a list, creation of one and of many, reading, changing and deleting,
 * with their contracts. All that they do is `request.owned(table)`, so any of them can be left out here and be written by
 * hand beside (docs/resources.md).
 */

export type Action = 'list' | 'create' | 'createMany' | 'read' | 'update' | 'delete'

interface ResourceOptions<Filter extends string> {
  /** What it is, for people who read the document. */
  readonly description: string
  /** Operations that it does not have. */
  readonly without?: readonly Action[]
  /** Fields that refer to a parent: they give lists such as `/projects/{id}/tasks/`. They must be filters. */
  readonly under?: readonly Filter[]
}

/** Components of the document: a row, the bodies of a creation and a change, and a page. */
interface Schemas<Row extends object, Body extends object> {
  readonly Public: TUnsafe<Row>
  readonly Create: TUnsafe<Body>
  readonly Update: TUnsafe<Partial<Body>>
  readonly Page: TUnsafe<PageOf<Row>>
  /** Of many at once. */
  readonly CreateMany: TUnsafe<{ data: Body[] }>
  readonly Created: TUnsafe<{ data: Row[] }>
}

/** A function that adds the routes to the signed-in scope, and what it adds. */
export interface DeclaredResource<
  Row extends object = object,
  Body extends object = object,
  Sort extends string = string,
> {
  (app: SignedInApp): void
  readonly table: object
  readonly tag: { readonly name: string; readonly description: string }
  readonly schemas: Schemas<Row, Body>
  /** Contracts, for operations written by hand: `operation({ ...noteRoutes.operations.update, summary: '…' })`. */
  readonly operations: ReturnType<typeof operationsOf<Row, Body, Sort>>
}

const MOST_CREATED = 1_000
/** Of a thousand rows with a few hundred characters each. */
const BATCH_BYTES = 1024 * 1024

export function resource<Row extends object, Body extends object, Sort extends string, Filter extends string>(
  owned: OwnedTable<Row, Body, Sort, Filter>,
  { description, without = [], under = [] }: ResourceOptions<Filter>,
): DeclaredResource<Row, Body, Sort> {
  const { table, ownership } = reveal(owned)
  const name = getTableName(table)
  if (ownership.one === name)
    throw new TypeError(`${name}: one row can't be called so as well: give ownedTable() { one: '…' }`)
  const schemas = schemasOf<Row, Body>(name, ownership)
  const operations = operationsOf<Row, Body, Sort>(table, ownership, schemas)
  const stray = under.find(
    (field) => !ownership.filter.includes(field) || !ownership.declared[field]?.reference,
  )
  if (stray !== undefined)
    throw new TypeError(`${name}: ${stray} must be a reference, and a filter of the list`)

  function routes(app: SignedInApp) {
    const has = (action: Action) => !without.includes(action)
    const path = `/${slug(name)}/`
    const rows = (request: SignedIn) => request.owned<object, object, string, string>(owned)
    const contracts: ReturnType<typeof operationsOf<object, object, string>> = operations
    const { list, create, createMany, read, update, delete: remove } = contracts

    if (has('list')) app.get(path, { schema: list }, (request) => rows(request).page(request.query))
    if (has('create')) app.post(path, { schema: create }, (request) => rows(request).create(request.body))
    if (has('createMany'))
      app.post(`${path}batch`, { schema: createMany }, async (request) => {
        return { data: await rows(request).createAll(request.body.data) }
      })
    if (has('read'))
      app.get(`${path}:id`, { schema: read }, (request) => rows(request).get(request.params.id))
    if (has('update'))
      app.put(`${path}:id`, { schema: update }, (request) =>
        rows(request).update(request.params.id, request.body),
      )
    if (has('delete')) {
      const errors = isNeeded(owned) ? [...remove.errors, StillReferenced] : remove.errors
      app.delete(`${path}:id`, { schema: { ...remove, errors } }, async (request) => {
        await rows(request).delete(request.params.id)
        return { message: deleted(ownership) }
      })
    }
    for (const field of under) {
      const parent = ownership.declared[field]!.reference!.table() as OwnedTable
      const { path: own, schema } = listUnder(parent, field, operations.list)
      app.get(`${own}${path.slice(1)}`, { schema }, async (request) => {
        const { id } = request.params
        await request.owned(parent).get(id)
        return rows(request).page({ ...request.query, [field]: [id] })
      })
    }
  }

  const added = { table: owned, tag: { name, description }, schemas }
  return Object.assign(routes, added, { operations })
}

const deleted = ({ one }: Ownership) => `${capitalized(inWords(one))} deleted successfully`

/** `NotePublic`, `NoteCreate`, `NoteUpdate` and `NotesPublic`; `NotesCreate` and `NotesCreated` for many at once. */
function schemasOf<Row extends object, Body extends object>(
  name: string,
  { declared, one }: Ownership,
): Schemas<Row, Body> {
  const fields = Object.entries(declared)
  const each = (schema: (field: (typeof fields)[number][1]) => TSchema) =>
    Object.fromEntries(fields.map(([field, declaration]) => [field, schema(declaration)]))
  const [One, Many] = [pascalCase(one), pascalCase(name)]
  const Public = component(
    `${One}Public`,
    Type.Unsafe<Row>(Type.Object({ id: Id, ...each(answered), owner_id: Id, created_at: Time })),
  )
  const Page = component(`${Many}Public`, Type.Unsafe<PageOf<Row>>(pageOf(Public)))
  const Create = component(
    `${One}Create`,
    Type.Unsafe<Body>(Type.Object(each((field) => sent(field).created))),
  )
  const Update = component(
    `${One}Update`,
    Type.Unsafe<Partial<Body>>(Type.Partial(Type.Object(each((field) => sent(field).changed)))),
  )
  const CreateMany = component(
    `${Many}Create`,
    Type.Unsafe<{ data: Body[] }>(
      Type.Object({ data: Type.Array(Create, { minItems: 1, maxItems: MOST_CREATED }) }),
    ),
  )
  const Created = component(
    `${Many}Created`,
    Type.Unsafe<{ data: Row[] }>(Type.Object({ data: Type.Array(Public) })),
  )
  return { Public, Page, Create, Update, CreateMany, Created }
}

function operationsOf<Row extends object, Body extends object, Sort extends string>(
  table: RevealedTable,
  ownership: Ownership,
  schemas: Schemas<Row, Body>,
) {
  const { one, sort, search, notFound, unique } = ownership
  const name = getTableName(table)
  const [singular, plural] = [inWords(one), inWords(name)]
  const [read, write] = [`${name}:read`, `${name}:write`] as const
  const shared = isShared(ownership)
  const taken = unique.length > 0 ? [AlreadyExists] : []
  const params = idOf(singular)
  const errors: ApiErrorKind[] = [notFound, NotEnoughPermissions]
  const a = `${article(singular)} ${singular}`
  return {
    list: operation({
      operationId: `${name}-read_${name}`,
      summary: `List ${plural}`,
      description: `One's own ${plural}${shared ? ' and those shared with one' : ''}, newest first where not asked for otherwise. Superusers see everybody's.`,
      querystring: listQuery(
        search.length > 0 ? inAList(search) : undefined,
        ['created_at', ...sort] as Sort[],
        filterQuery(table, ownership),
      ),
      permission: read,
      response: { 200: schemas.Page },
    }),
    create: operation({
      operationId: `${name}-create_${one}`,
      summary: `Create ${a}`,
      description: 'It belongs to whoever creates it.',
      headers: IdempotencyKey,
      body: schemas.Create,
      permission: write,
      response: { 200: schemas.Public },
      versioned: true,
      errors: [RowQuotaReached, ...taken],
    }),
    createMany: operation({
      operationId: `${name}-create_${name}`,
      summary: `Create many ${plural}`,
      description: `Up to ${MOST_CREATED.toLocaleString('en')}, all of them or none. The answer has them in the same order.`,
      headers: IdempotencyKey,
      body: schemas.CreateMany,
      bodyLimit: BATCH_BYTES,
      permission: write,
      response: { 200: schemas.Created },
      errors: [RowQuotaReached, ...taken],
    }),
    read: operation({
      operationId: `${name}-read_${one}`,
      summary: `Read ${a}`,
      description: shared
        ? "One's own or one shared with one, or for superusers any."
        : "One's own, or for superusers any.",
      params,
      headers: IfNoneMatch,
      permission: read,
      response: { 200: schemas.Public },
      versioned: true,
      errors,
    }),
    update: operation({
      operationId: `${name}-update_${one}`,
      summary: `Change ${a}`,
      description: `Fields that are not sent stay as they are.${changedByOthers(ownership)}`,
      params,
      headers: IfMatch,
      body: schemas.Update,
      permission: write,
      response: { 200: schemas.Public },
      versioned: true,
      errors: [...errors, PreconditionFailed, ...taken],
    }),
    delete: operation({
      operationId: `${name}-delete_${one}`,
      summary: `Delete ${a}`,
      description: 'For good.',
      params,
      headers: IfMatch,
      permission: write,
      response: { 200: Message },
      errors: [...errors, PreconditionFailed],
    }),
  }
}

const idOf = (singular: string) => Type.Object({ id: { ...Id, description: `Which ${singular}.` } })

/** Which fields those may change whom a row is shared with. */
function changedByOthers({ changers, changeable, fields }: Ownership): string {
  if (!changers || changeable.length === fields.length) return ''
  return ` Whom it is shared with changes ${inAList(
    changeable.map((field) => `\`${field}\``),
    'and',
  )} alone.`
}

/** `a, b or c` */
function inAList(words: readonly string[], last = 'or'): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`
}

/** The list of one parent's rows: that of all, without the filter that the path is. */
function listUnder(parent: OwnedTable, field: string, list: ReturnType<typeof operationsOf>['list']) {
  const { table, ownership } = reveal(parent)
  const [name] = list.operationId.split('-') as [string]
  const properties = Object.entries(list.querystring.properties).filter(
    ([parameter]) => parameter.split('[', 1)[0] !== field,
  )
  const singular = inWords(ownership.one)
  return {
    path: `/${slug(getTableName(table))}/:id/`,
    schema: operation({
      ...list,
      operationId: `${name}-read_${ownership.one}_${name}`,
      summary: `List the ${inWords(name)} of ${article(singular)} ${singular}`,
      description: `${capitalized(inWords(name))} of that ${singular}, as far as one may read them.`,
      params: idOf(singular),
      querystring: Type.Object(Object.fromEntries(properties)) as typeof list.querystring,
      errors: [ownership.notFound, NotEnoughPermissions],
    }),
  }
}
