import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { type Random, randomBy } from '../../support/random.ts'
import type { Person, Service } from '../../support/service.ts'
import { SPECIMEN, created, startWithSpecimens } from '../../support/specimens.ts'

/**
 * Lists of random rows, in every order, with random filters and searches, in pages of random sizes, compared to a plain
 * filter and sort of the same rows. TEST_ROUNDS=20 asks for each order so many times, TEST_SEED for other chance.
 */

const ROUNDS = Number(process.env.TEST_ROUNDS ?? 1)
const SEED = Number(process.env.TEST_SEED ?? 1)

type Value = string | number | boolean | null
type Row = Record<string, Value> & { id: string }

const uuidOf = (n: number) => `${n}0000000-0000-4000-8000-00000000000a`

/** Few values of each kind, so that many are equal. All locales have them in this order. */
const POOLS = {
  text: ['a', 'A', 'b', 'B', 'cc', 'Cca'],
  int: [-10, -1, 0, 7, 10, 1000],
  decimal: ['-99999999.9999', '-0.5000', '0.0000', '9.0000', '10.0000', '10.0001'],
  flag: [false, true],
  time: [
    '0100-01-01T00:00:00.000Z',
    '2026-01-01T00:00:00.000Z',
    '2026-01-01T00:00:00.001Z',
    '9999-12-31T23:59:59.999Z',
  ],
  day: ['0001-01-01', '2026-01-01', '2026-01-02', '9999-12-31'],
  one_of: ['done', 'null', 'open', "won't do"],
  uuid: [1, 2, 3].map(uuidOf),
  email: ['a@example.com', 'A@example.com', 'b@example.com'],
  url: ['https://example.com/a', 'https://example.com/A', 'https://example.com/b'],
} as const satisfies Record<string, readonly Value[]>

type Kind = keyof typeof POOLS
const KINDS = Object.keys(POOLS) as Kind[]
const RANGES = new Set<Kind>(['int', 'decimal', 'time', 'day'])
const FOLDED = new Set(['text', 'email', 'url', 'nick'])
const SORTS = [
  'created_at',
  ...KINDS.flatMap((kind) => [kind, `${kind}_or_null`]),
  'nick',
  'drawer_id_or_null',
]
const kindOf = (field: string) => field.replace(/_or_null$/, '')

/** What the database sorts by: text without case, null like an empty one. */
function keyOf(row: Row, field: string): Value {
  const value = row[field]!
  if (FOLDED.has(kindOf(field))) return String(value ?? '').toLowerCase()
  return kindOf(field) === 'decimal' && value !== null ? Number(value) : value
}

const order = (a: Value, b: Value) => Number(a! > b!) - Number(a! < b!)

/** Nulls are last in both directions; rows with equal keys are in the order of their ids. */
function compareBy(sort: string) {
  const field = sort.replace(/^-/, '')
  const sign = sort.startsWith('-') ? -1 : 1
  return (a: Row, b: Row) => {
    const [one, other] = [keyOf(a, field), keyOf(b, field)]
    const byNull = Number(one === null) - Number(other === null)
    return byNull || sign * (order(one, other) || order(a.id, b.id))
  }
}

/** One parameter of the query, and which rows it lets through. */
interface Filter {
  readonly name: string
  readonly values: readonly string[]
  readonly fits: (row: Row) => boolean
}

const SIGNS: Record<string, (difference: number) => boolean> = {
  gt: (difference) => difference > 0,
  gte: (difference) => difference >= 0,
  lt: (difference) => difference < 0,
  lte: (difference) => difference <= 0,
}

function randomFilter(random: Random): Filter {
  const kind = random.one(KINDS.filter((kind) => kind !== 'url'))
  const field = random.isTrue() ? kind : `${kind}_or_null`
  const way = random.below(3)
  if (way === 0 && RANGES.has(kind)) {
    const operator = random.one(Object.keys(SIGNS))
    const edge = random.one<Value>(POOLS[kind])
    const edgeKey = keyOf({ id: '', [kind]: edge }, kind)
    return {
      name: `${field}[${operator}]`,
      values: [String(edge)],
      fits: (row) => row[field] !== null && SIGNS[operator]!(order(keyOf(row, field), edgeKey)),
    }
  }
  if (way === 1 && field !== kind) {
    const isNull = random.isTrue()
    return {
      name: `${field}[null]`,
      values: [String(isNull)],
      fits: (row) => (row[field] === null) === isNull,
    }
  }
  const values = random.some<Value>(POOLS[kind], 4)
  return {
    name: field,
    values: values.map(String),
    fits: (row) => row[field] !== null && values.includes(row[field]!),
  }
}

function randomBody(random: Random, drawers: readonly string[]) {
  const fields = KINDS.flatMap((kind): [string, Value][] => [
    [kind, random.one<Value>(POOLS[kind])],
    [`${kind}_or_null`, random.isTrue(0.4) ? null : random.one<Value>(POOLS[kind])],
  ])
  return {
    ...SPECIMEN,
    ...Object.fromEntries(fields),
    drawer_id: drawers[0],
    drawer_id_or_null: random.one([null, ...drawers]),
    nick: random.one([null, ...POOLS.text]),
  }
}

/** Rows of two owners; `steady` stay as long as the test runs, others come and go. */
async function fill(service: Service, random: Random) {
  const { call, rows } = service
  const owners = [await service.person(), await service.person()]
  const drawersOf = new Map<Person, string[]>()
  const steady: Row[] = []
  for (const [n, owner] of owners.entries()) {
    const made = [1, 2, 3].map(() => created(service, '/drawers/', owner, { title: 'x' }))
    const drawers = (await Promise.all(made)).map(({ id }) => id)
    drawersOf.set(owner, drawers)
    const data = Array.from({ length: n === 0 ? 60 : 25 }, () => randomBody(random, drawers))
    const { body } = await call('POST', '/specimens/batch', { as: owner, body: { data } })
    steady.push(...(body.data as Row[]))
  }
  for (const row of steady) {
    const created_at = random.one([
      '2026-01-01T00:00:00.000Z',
      '2026-01-01T00:00:00.001Z',
      '2026-01-02T00:00:00.000Z',
    ])
    await rows(sql`update specimens set created_at = ${created_at}::timestamptz where id = ${row.id}`)
    row.created_at = created_at
  }
  return { owners, drawersOf, steady }
}

void test('pages put together are what a filter and a sort of all rows give', async (t) => {
  const random = randomBy(SEED)
  const service = await startWithSpecimens(t)
  const { admin, call, rows } = service
  const { owners, drawersOf, steady } = await fill(service, random)
  const isSteady = new Set(steady.map(({ id }) => id))
  const coming: Row[] = []

  /** Another row comes, and one that came goes. */
  async function change() {
    const owner = random.one(owners)
    const row = await created<Row>(service, '/specimens/', owner, randomBody(random, drawersOf.get(owner)!))
    coming.push(row)
    if (coming.length < 4) return
    const [gone] = coming.splice(random.below(coming.length), 1)
    await rows(sql`delete from specimens where id = ${gone!.id}`)
  }

  async function page(query: readonly [string, string][], as: Person, more: Record<string, string>) {
    const search = new URLSearchParams([...query, ...Object.entries(more)] as [string, string][])
    const { status, body, text } = await call('GET', `/specimens/?${search.toString()}`, { as })
    if (status !== 200) throw new Error(`${search.toString()} is ${status}: ${text}`)
    return body as { data: Row[]; count: number; next_cursor: string | null }
  }

  /** A list to ask for, and what it is to have. */
  function randomList(sort: string) {
    const as = random.one([owners[0]!, owners[0]!, owners[1]!, admin])
    const q = random.one(['', '', 'A', 'cc'])
    const filters = Array.from({ length: random.one([0, 1, 1, 2, 3]) }, () => randomFilter(random)).filter(
      ({ name }, at, all) => all.findIndex((other) => other.name === name) === at,
    )
    const query: [string, string][] = [
      ['sort', sort],
      ['q', q],
      ...filters.flatMap(({ name, values }) => values.map((value): [string, string] => [name, value])),
    ]
    const fits = (row: Row) =>
      (as === admin || row.owner_id === as.id) &&
      [row.text, row.text_or_null].some((text) =>
        String(text ?? '')
          .toLowerCase()
          .includes(q.toLowerCase()),
      ) &&
      filters.every((filter) => filter.fits(row))
    const whose = as === admin ? "everybody's" : "an owner's"
    return { as, query, fits, shown: `seed ${SEED}, ${whose}: ${new URLSearchParams(query).toString()}` }
  }

  /** All pages by their cursors, of random sizes. */
  async function follow(query: [string, string][], as: Person, afterEach: () => Promise<void>) {
    const pages: Awaited<ReturnType<typeof page>>[] = []
    do {
      const limit = String(1 + random.below(random.one([3, 12, 60])))
      const cursor = pages.at(-1)?.next_cursor ?? ''
      pages.push(await page(query, as, cursor === '' ? { limit } : { limit, cursor }))
      await afterEach()
    } while (pages.at(-1)!.next_cursor !== null && pages.length < 1_000)
    return pages
  }

  async function lookAtStill(t: Test, sort: string) {
    const { as, query, fits, shown } = randomList(sort)
    const expected = [...steady, ...coming].filter(fits).toSorted(compareBy(sort))
    const pages = await follow(query, as, () => Promise.resolve())
    t.strictSame(
      pages.flatMap(({ data }) => data),
      expected,
      shown,
    )
    t.same(new Set(pages.map(({ count }) => count)), new Set([expected.length]), `${shown}: counted`)
    const skip = random.below(expected.length + 2)
    const { data } = await page(query, as, { skip: String(skip), limit: '5' })
    t.strictSame(data, expected.slice(skip, skip + 5), `${shown}: after ${skip}`)
  }

  async function lookAtChanging(t: Test, sort: string) {
    const { as, query, fits, shown } = randomList(sort)
    const pages = await follow(query, as, change)
    const met = pages.flatMap(({ data }) => data)
    t.strictSame(
      met.filter(({ id }) => isSteady.has(id)),
      steady.filter(fits).toSorted(compareBy(sort)),
      `${shown}: what was there all the time`,
    )
    t.equal(new Set(met.map(({ id }) => id)).size, met.length, `${shown}: no row twice`)
    t.ok(met.every(fits), `${shown}: no row that does not fit`)
    t.strictSame(met, met.toSorted(compareBy(sort)), `${shown}: in order`)
  }

  for (const sort of SORTS.flatMap((field) => [field, `-${field}`])) {
    await t.test(`sorted by ${sort}`, async (t) => {
      for (let round = 0; round < ROUNDS; round++) await lookAtStill(t, sort)
    })
    await t.test(`sorted by ${sort}, while rows come and go`, async (t) => {
      for (let round = 0; round < ROUNDS; round++) await lookAtChanging(t, sort)
    })
  }
})
