import { randomUUID } from 'node:crypto'
import { type Test, test } from 'tap'
import { resources } from '../../src/app.ts'
import { slug } from '../../src/ownership/names.ts'
import { reveal } from '../../src/ownership/owned-table.ts'
import type { DeclaredResource } from '../../src/ownership/resource.ts'
import { isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { type Described, type Document, type Json, documentOf, operationsOf } from '../support/document.ts'
import { fieldValues } from '../support/field-values.ts'
import { paperRoutes } from '../support/papers.ts'
import { type MakeRow, requestWithRows, resolved } from '../support/samples.ts'
import { type Person, type Service, startService } from '../support/service.ts'

/**
 * What holds for every declared resource, found out from the document alone: a new one is tested as it is declared. Who may
 * do what is test/matrix.test.ts.
 */

type Row = Record<string, unknown> & { id: string }

interface Tried {
  /** Fields whose values an owner has once. */
  readonly unique: readonly string[]
  readonly service: Service
  readonly document: Document
  readonly create: Described
  readonly list: Described
  /** Fields of the body of a creation, by name. */
  readonly fields: Record<string, Json>
  readonly owner: Person
  /** The body of a creation that is right, with rows that it refers to. */
  body(as?: Person): Promise<Record<string, unknown>>
  add(body: object): Promise<Row>
}

async function tried(t: Test, { table, tag }: DeclaredResource): Promise<Tried | undefined> {
  const service = await startService(t)
  cheapHashing(service)
  const document = documentOf(service.app)
  const own = operationsOf(document).filter(({ operation }) => operation.tags.includes(tag.name))
  const path = `/api/v1/${slug(tag.name)}/`
  const [create, list] = ['POST', 'GET'].map((method) =>
    own.find((one) => one.method === method && one.path === path),
  )
  if (!create || !list) return undefined
  const owner = await service.person()
  const makeAs =
    (as: Person): MakeRow =>
    async ({ path }, { search, ...request }) => {
      const made = await service.call('POST', path + search, { ...request, as })
      // One with the same unique value was made before.
      if (made.status === 409) return (await service.call('GET', path, { as })).body.data[0].id as string
      return made.body.id as string
    }
  const { schema } = Object.values(create.operation.requestBody!.content)[0]!
  const { unique } = reveal(table).ownership
  let made = 0
  /** Values of unique fields that no row has. */
  const unused = () => Object.fromEntries(unique.map((field) => [field, String((made += 1))]))
  return {
    unique,
    service,
    document,
    create,
    list,
    fields: resolved(document, schema).properties as Record<string, Json>,
    owner,
    async body(as = owner) {
      const { body } = await requestWithRows(document, create.operation, makeAs(as))
      return { ...body, ...unused() }
    },
    async add(body) {
      const answer = await service.call('POST', path, { as: owner, body })
      if (answer.status !== 200) throw new Error(`${path}: ${answer.text}`)
      return answer.body as Row
    },
  }
}

const all = [paperRoutes, ...resources]

const isReference = (name: string, { format }: Json) => format === 'uuid' && name.endsWith('_id')

/** Times with any offset are given back in UTC; numbers with all of their digits. */
const same = (given: unknown, got: unknown) =>
  typeof given === 'string' && typeof got === 'string' && /^-?\d+(\.\d+)?$/.test(given)
    ? Number(given) === Number(got)
    : JSON.stringify(given) === JSON.stringify(got)

/** A test of each resource that has a creation and a list of its own. */
function each(says: string, run: (t: Test, known: Tried) => Promise<void>) {
  for (const resource of all)
    void test(`${resource.tag.name}: ${says}`, async (t) => {
      const known = await tried(t, resource)
      if (known) await run(t, known)
    })
}

each('values within the bounds of a field are kept, others are 422 at it', async (t, known) => {
  const { service, create, fields, owner } = known
  for (const [field, schema] of Object.entries(fields)) {
    if (isReference(field, schema) || known.unique.includes(field)) continue
    const { good, bad } = fieldValues(schema)
    for (const value of good) {
      const row = await known.add({ ...(await known.body()), [field]: value })
      t.ok(same(value, row[field]), `${field}: ${JSON.stringify(value).slice(0, 80)} is kept`)
      const changed = await service.call('PUT', `${create.path}${row.id}`, {
        as: owner,
        body: { [field]: value },
      })
      t.same(changed.body[field], row[field], 'and written again')
    }
    for (const value of bad) {
      const body = { ...(await known.body()), [field]: value }
      const answer = await service.call('POST', create.path, { as: owner, body })
      t.equal(answer.status, 422, `${field}: ${JSON.stringify(value).slice(0, 80)} is refused`)
      t.equal(answer.body?.detail?.[0]?.loc?.[1], field, 'at the field')
    }
  }
})

each('a filter gives the rows that it describes, and no others', async (t, known) => {
  const rows = await varied(known)
  for (const { name: parameter, field, operator } of filtersOf(known)) {
    const present = rows.map((row) => row[field]).filter((value) => value !== null) as (
      string | number | boolean
    )[]
    for (const value of operator === 'null' ? ['true', 'false'] : new Set(present)) {
      const query = new URLSearchParams({ [parameter]: String(value), limit: '1000' })
      const { body } = await known.service.call('GET', `${known.list.path}?${query.toString()}`, {
        as: known.owner,
      })
      const expected = rows.filter((row) => matches(row[field], operator, value)).map(({ id }) => id)
      t.same(
        new Set(body?.data?.map(({ id }: Row) => id)),
        new Set(expected),
        `${parameter}=${String(value).slice(0, 40)}`,
      )
      t.equal(body?.count, expected.length)
    }
  }
})

each('by each sort, pages neither lose nor repeat a row, and what is null comes last', async (t, known) => {
  const rows = await varied(known)
  const page = async (query: Record<string, string>) =>
    (
      await known.service.call('GET', `${known.list.path}?${new URLSearchParams(query).toString()}`, {
        as: known.owner,
      })
    ).body as { data: Row[]; next_cursor: string | null }
  const sort = known.list.operation.parameters?.find(({ name }) => name === 'sort')
  const sorts = (sort?.schema.enum ?? []) as string[]
  for (const sort of sorts) {
    const field = sort.replace('-', '')
    const met: Row[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const { data, next_cursor }: Awaited<ReturnType<typeof page>> = await page({
        sort,
        limit: '2',
        ...(cursor !== '' && { cursor }),
      })
      met.push(...data)
      cursor = next_cursor
    }
    t.same(met.map(({ id }) => id).toSorted(), rows.map(({ id }) => id).toSorted(), `${sort}: each once`)
    const { data } = await page({ sort, limit: '1000' })
    t.same(met, data, 'in the order of the whole list')
    if (isFreeText(known.fields[field])) continue
    const present = met.map((row) => row[field]).filter((value) => value !== null)
    t.same(
      met.slice(0, present.length).map((row) => row[field]),
      present,
      'null is last',
    )
    const ascending = sort.startsWith('-') ? present.toReversed() : present
    t.ok(
      ascending.every((value, at) => at === 0 || !isLess(value, ascending[at - 1])),
      'in order',
    )
  }
})

each('a reference to what is not there, or to a row of others, is the same 422', async (t, known) => {
  const { service, create, owner, fields } = known
  const other = await service.person()
  const [mine, theirs] = [await known.body(), await known.body(other)]
  for (const [field, schema] of Object.entries(fields)) {
    // References to users are no rows with owners.
    if (!isReference(field, schema) || theirs[field] === mine[field] || mine[field] === null) continue
    const answers = await Promise.all(
      [theirs[field], randomUUID()].map((id) =>
        service.call('POST', create.path, { as: owner, body: { ...mine, [field]: id } }),
      ),
    )
    for (const answer of answers) isRefused(t, answer, [`body.${field}`], field)
    t.equal(answers[0]!.text, answers[1]!.text)
  }
})

/** Rows whose fields have different values, some of them the same in two rows. */
async function varied(known: Tried): Promise<Row[]> {
  const rows: Row[] = []
  for (let n = 0; n < 7; n++) {
    const body = await known.body()
    for (const [field, schema] of Object.entries(known.fields)) {
      const { good } = fieldValues(schema)
      if (!isReference(field, schema) && good.length > 0 && !known.unique.includes(field))
        body[field] = good[(n * 3) % good.length]
    }
    rows.push(await known.add(body))
  }
  return rows
}

const OPERATORS = /^(.+?)(?:\[(\w+)\])?$/

function filtersOf({ list, fields }: Tried) {
  return (list.operation.parameters ?? []).flatMap(({ name }) => {
    const [, field = '', operator = 'is'] = OPERATORS.exec(name) ?? []
    return field in fields && !['q', 'sort', 'skip', 'limit', 'cursor'].includes(field)
      ? [{ name, field, operator }]
      : []
  })
}

const isFreeText = (schema: Json | undefined) =>
  schema !== undefined &&
  [schema.type].flat().includes('string') &&
  !('enum' in schema) &&
  !('pattern' in schema) &&
  (schema.format === undefined || schema.format === 'email' || schema.format === 'uri')

/** Numbers may be text. */
const isLess = (a: unknown, b: unknown): boolean => {
  const [x, y] = [a, b].map((value) => (/^-?\d+(\.\d+)?$/.test(String(value)) ? Number(value) : value)) as [
    number,
    number,
  ]
  return x < y
}

function matches(value: unknown, operator: string, given: unknown): boolean {
  if (operator === 'null') return (value === null) === (given === 'true')
  if (operator === 'is') return value === given
  if (value === null) return false
  const [isBefore, isAfter] = [isLess(value, given), isLess(given, value)]
  return { gt: isAfter, gte: !isBefore, lt: isBefore, lte: !isAfter }[operator] ?? false
}
