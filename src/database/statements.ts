import { SQL, type SQLWrapper, getTableColumns, is, sql } from 'drizzle-orm'
import { PgArray, type PgColumn, PgEnumColumn, PgEnumObjectColumn, type PgTable } from 'drizzle-orm/pg-core'

/**
 * Pieces of prepared statements. A statement is built once and run with values by name, so what differs from
 * call to call is decided in SQL.
 */

/** What `prepare` makes, made when it is first asked for: no start waits for statements that it does not need. */
export function whenNeeded<T>(prepare: () => T): () => T {
  let prepared: T | undefined
  return () => (prepared ??= prepare())
}

/** The value of a name at execution. */
export const value = (name: string) => sql.placeholder(name)

/**
 * What a body gives for a field. Fields may have any name, so these are not those of other values: no name of a value
 * has a space.
 */
export const fieldValue = (field: string) => value(`field ${field}`)

/** A field may be named as something that every object has (`constructor`). */
export const givenIn = (body: Readonly<Record<string, unknown>>, field: string): unknown =>
  Object.hasOwn(body, field) ? body[field] : undefined

/** JSON has no bigint. */
export const jsonOf = (given: unknown): string =>
  JSON.stringify(given, (_name, part: unknown) => (typeof part === 'bigint' ? String(part) : part))

/** More than anybody means, and less than the stack has room for wherever JSON is read or written. */
const MOST_NESTED = 500

/** Whether it is nested deeper than can be relied on to be read again. */
export const isTooDeep = (given: unknown, most = MOST_NESTED): boolean =>
  typeof given === 'object' &&
  given !== null &&
  (most === 0 || Object.values(given).some((part) => isTooDeep(part, most - 1)))

/** A row of `table` that is null, as a type: its name alone may be that of one of PostgreSQL's own (`point`). */
export const nullRow = (table: PgTable): SQL => sql`(select "no row" from ${table} as "no row" where false)`

const sentName = (field: string) => `sent ${field}`

/** Whether a body gives a value for a field, as a condition. */
export const sent = (field: string): SQL => sql`${value(sentName(field))}::boolean`

/**
 * `column` takes the value of its field where `assignments` sent one, and stays as it is where not.
 * PostgreSQL infers the value's type from the column.
 */
export function assigned(column: PgColumn, field: string = column.name): SQL {
  return sql`case when ${sent(field)} then ${encoded(column, field)} else ${sqlOf(column.onUpdateFn) ?? column} end`
}

/** The value of the column's field, or the column's default where none is sent. */
export function valueOrDefault(column: PgColumn, field: string = column.name): SQL {
  const given = typed(column, encoded(column, field))
  const otherwise =
    column.default === undefined ? sqlOf(column.defaultFn ?? column.onUpdateFn) : defaultOf(column)
  return otherwise === undefined ? given : sql`case when ${sent(field)} then ${given} else ${otherwise} end`
}

/** What `$default()` or `$onUpdate()` gives, where that is SQL and so a part of the statement. */
function sqlOf(make: (() => unknown) | undefined): SQL | undefined {
  const made = make?.()
  return is(made, SQL) ? made : undefined
}

/** One that gives values, asked each time. */
export const givesValues = (make: (() => unknown) | undefined) =>
  make !== undefined && sqlOf(make) === undefined

/**
 * A value said to be of the column's type, where PostgreSQL can't infer it. Without its length, as a cast to
 * varchar(255) would cut what is longer instead of refusing it.
 */
export const typed = (column: PgColumn, given: SQLWrapper): SQL => sql`${given}::${typeOf(column)}`

function typeOf(column: PgColumn): SQL {
  if (is(column, PgArray)) return sql`${typeOf(column.baseColumn)}[]`
  if (is(column, PgEnumColumn) || is(column, PgEnumObjectColumn)) {
    const { schema, enumName } = column.enum
    return schema === undefined
      ? sql`${sql.identifier(enumName)}`
      : sql`${sql.identifier(schema)}.${sql.identifier(enumName)}`
  }
  const type = column.getSQLType().replace(/(?<!\s)\s*\([\d, ]+\)/, '')
  return sql.raw(OF_ANY_LENGTH[type] ?? type)
}

/** Without a length, these two by themselves have one of 1. */
const OF_ANY_LENGTH: Record<string, string> = { char: 'bpchar', bit: 'varbit' }

/** The value of a field as the column's type is written (a Date, JSON); null stays null. */
function encoded(column: PgColumn, field: string): SQL {
  const encoder = { mapToDriverValue: (given: unknown) => driverValueOf(column, given) }
  return sql`${sql.param(fieldValue(field), encoder)}`
}

/**
 * What a body gives, as the column's type is written. Bodies have times as text; what is none, PostgreSQL refuses as it
 * refuses others.
 */
export function driverValueOf(column: PgColumn, given: unknown): unknown {
  if (given === null) return null
  const isOfTimes = (is(column, PgArray) ? column.baseColumn : column).dataType === 'date'
  if (!isOfTimes) return column.mapToDriverValue(given)
  const texts = [given].flat().filter((text) => typeof text === 'string')
  if (!texts.every(isTime)) return NO_TIME
  const read = (one: unknown) => (typeof one === 'string' ? new Date(one) : one)
  return column.mapToDriverValue(Array.isArray(given) ? given.map(read) : read(given))
}

const NO_TIME = ''

/**
 * ISO 8601; JavaScript takes 30 February for 2 March. At an offset, the first and last hours are of years that are
 * written in another way.
 */
function isTime(text: string): boolean {
  const day = text.slice(0, 10)
  const midnight = new Date(day)
  const year = new Date(text).getUTCFullYear()
  return (
    year >= 1 && year <= 9999 && !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day)
  )
}

/**
 * What makes, of a body, the values that `assigned` columns of these fields ask for: null is a value, undefined is none.
 */
export function assignments(fields: readonly string[]) {
  const names = fields.map((field) => ({ field, name: `field ${field}`, sent: sentName(field) }))
  return (body: Readonly<Record<string, unknown>>): Record<string, unknown> => {
    const values: Record<string, unknown> = {}
    for (const { field, name, sent } of names) {
      const given = givenIn(body, field)
      values[sent] = given !== undefined
      values[name] = given ?? null
    }
    return values
  }
}

/**
 * Every column of a new row in the table's order, as INSERT … SELECT wants them: what is given, else the column's
 * default, else null.
 */
export function newRow(table: PgTable, given: Record<string, SQLWrapper>): Record<string, SQL> {
  const columns = Object.entries(getTableColumns(table)) as [string, PgColumn][]
  return Object.fromEntries(
    columns.map(([name, column]) => [
      name,
      sql`${given[name] ?? defaultOf(column)}`.as(column.name) as never,
    ]),
  )
}

/** The column's default as SQL, or null: written as its type is, since a driver is given it as a value. */
function defaultOf(column: PgColumn): SQL {
  const value: unknown = column.default
  if (value === undefined) return sql`null`
  return is(value, SQL) ? value : sql`${sql.param(value, column)}`
}

/** So many minutes from now, by the database's clock. */
export const inMinutes = (minutes: number) => sql`now() + make_interval(mins => ${minutes}::integer)`
