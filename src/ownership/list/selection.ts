import { type SQL, and, getTableName, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Database } from '../../database/connect.ts'
import { type Runs, type Statement, statement } from '../../database/statement.ts'
import { type Asker, askerParameters, isOwnOrShared, isShared, ofDeletedUser } from '../access.ts'
import { type OwnedTable, reveal } from '../owned-table.ts'
import { filtersOf } from './filters.ts'
import { type PageOf, type PageRequest, preparePages } from './page.ts'
import { type Values, whereOf } from './page-sql.ts'

/**
 * Part of an owned table, by a condition in SQL. Declared once, so that its statements are compiled once:
 *
 *     const overdue = condition(tasks, 'overdue', (task, v: Given<{ by: string }>) =>
 *       sql`${task.due} < ${v.by}::date and not ${task.done}`)
 *     await request.owned(tasks).where(overdue, { by: '2026-01-01' }).count()
 *
 * It can't widen what the asker may read: it is one more condition on those rows.
 */
export interface Condition<Row, Given extends object> {
  readonly table: object
  readonly name: string
  readonly where: SQL
  /** Type only. */
  readonly __types?: { readonly row: Row; readonly given: Given }
}

/** The parameters of a condition, in SQL. */
export type Given<Values extends object> = { readonly [name in keyof Values]: SQL } & {
  /** Type only. */
  readonly __values?: Values
}

/** Those of each table. */
const conditions = new Map<object, Condition<unknown, object>[]>()

/** @param name its statements have, in `npm run sql` */
export function condition<Row, Values extends object>(
  table: OwnedTable<Row>,
  name: string,
  write: (row: { readonly [field in keyof Row]: PgColumn }, given: Given<Values>) => SQL,
): Condition<Row, Values> {
  const { table: columns } = reveal(table)
  const row = columns as { readonly [field in keyof Row]: PgColumn }
  const made = { table, name, where: sql`(${write(row, parameters as Given<Values>)})` }
  conditions.set(table, [...(conditions.get(table) ?? []), made])
  return made
}

const parameterOf = (name: string) => `given ${name}`
const parameters = new Proxy(
  {},
  { get: (_target, name) => sql`${sql.placeholder(parameterOf(String(name)))}` },
)

const named = (values: object): Values =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [parameterOf(name), value]))

/** Rows of a table, as far as the asker may read them. */
export interface Selection<Row, Sort extends string> {
  /** A page, newest first where not asked for otherwise, with the number of all of these rows. */
  page(request: PageRequest<Sort>, isWanted?: () => boolean): Promise<PageOf<Row>>
  count(): Promise<number>
  /** The sum of a number's values, exact, as text; `0` of no rows. */
  sum(field: keyof Row & string): Promise<string>
  /** The smallest and largest value as text, times as ISO 8601; null of no rows. */
  min(field: keyof Row & string): Promise<string | null>
  max(field: keyof Row & string): Promise<string | null>
}

const AGGREGATES = {
  count: () => sql`count(*)`,
  sum: (column: SQL) => sql`coalesce(sum(${column}), 0)`,
  min: (column: SQL) => sql`min(${column})`,
  max: (column: SQL) => sql`max(${column})`,
}

/** @returns a function that gives the rows of a table, or of a part of it */
export function selections<Row, Sort extends string>(db: Database, owned: object) {
  const { table, ownership } = reveal(owned)
  const ofAsker = isOwnOrShared(table, ownership, askerParameters.asker)
  const hidden = ofDeletedUser(table)
  const filters = filtersOf(table, ownership)
  const compiled = new Map<object, ReturnType<typeof compile>>()

  /** Of the asker's rows, and of all for superusers. Pages and most numbers are compiled when they are first asked for. */
  function compile(part?: Condition<unknown, object>) {
    const lists = {
      // Nobody asks for their own rows once they are deleted.
      own: { where: and(ofAsker, part?.where), name: part?.name, ...(isShared(ownership) && { hidden }) },
      all: { where: part?.where, name: part?.name, hidden },
    }
    const prepare = (list: (typeof lists)['own' | 'all']) =>
      preparePages<Row, Sort>(db, table, { ...list, search: ownership.search, filters })
    const pages = { own: prepare(lists.own), all: prepare(lists.all) }
    const numbers = new Map<string, Statement<Values, { number: string | null }>>()

    function numberOf(whose: 'own' | 'all', what: keyof typeof AGGREGATES, field: string) {
      const name = `${what} of ${[whose, part?.name, getTableName(table), field].filter(Boolean).join(' ')}`
      const known =
        numbers.get(name) ??
        statement<Values, { number: string | null }>(
          name,
          () => sql`
    select to_jsonb(${AGGREGATES[what](sql`${table[field]!}`)}) #>> '{}' as number from ${table} ${whereOf(lists[whose])}`,
          { isLong: true },
        )
      numbers.set(name, known)
      return known
    }
    for (const whose of ['own', 'all'] as const) numberOf(whose, 'count', 'id')
    return { pages, numberOf }
  }

  function compiledFor(part?: Condition<unknown, object>) {
    const key = part ?? owned
    const known = compiled.get(key) ?? compile(part)
    compiled.set(key, known)
    return known
  }

  // At the start, so that a condition for which no statement can be written stops it.
  for (const part of [undefined, ...(conditions.get(owned) ?? [])]) compiledFor(part)

  /** @param runs the database, or a transaction */
  return (
    asker: Asker,
    part?: Condition<Row, object>,
    given: object = {},
    runs: Runs = db,
  ): Selection<Row, Sort> => {
    if (part && part.table !== owned) throw new TypeError(`${part.name} is a condition on another table`)
    const { pages, numberOf } = compiledFor(part)
    const whose = asker.is_superuser ? 'all' : 'own'
    const values = { ...named(given), ...(whose === 'own' && { asker: asker.id }) }
    async function aggregate(what: keyof typeof AGGREGATES, field: string) {
      const [found] = await runs.run(numberOf(whose, what, field), values)
      return found!.number
    }
    return {
      page: (request, isWanted) => pages[whose](request, values, isWanted, runs),
      count: async () => Number(await aggregate('count', 'id')),
      sum: async (field) => (await aggregate('sum', field))!,
      min: (field) => aggregate('min', field),
      max: (field) => aggregate('max', field),
    }
  }
}
