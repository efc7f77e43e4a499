import { type SQL, type SQLWrapper, is, sql } from 'drizzle-orm'
import { PgArray, type PgColumn, PgEnumColumn, PgEnumObjectColumn, type PgTable } from 'drizzle-orm/pg-core'

/**
 * A value cast to the column's type, where PostgreSQL can't infer it. Without its length, as a cast to varchar(255) would
 * cut what is longer instead of refusing it.
 */
export const typed = (column: PgColumn, given: SQLWrapper): SQL => sql`${given}::${typeOf(column)}`

/** The name of a column's type, without its length. */
export function typeOf(column: PgColumn): SQL {
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

/** A row of `table` that is null, as a type: its name alone may be that of one of PostgreSQL's own (`point`). */
export const nullRow = (table: PgTable): SQL => sql`(select "no row" from ${table} as "no row" where false)`

/**
 * The value of a body as the column's type is written. Bodies have times as text; text that is no time becomes one that
 * PostgreSQL refuses.
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
export function isTime(text: string): boolean {
  const day = text.slice(0, 10)
  const midnight = new Date(day)
  const year = new Date(text).getUTCFullYear()
  return (
    year >= 1 && year <= 9999 && !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day)
  )
}

/** An array as PostgreSQL writes it. */
export const arrayOf = (values: readonly unknown[]): string =>
  `{${values.map((value) => `"${String(value).replaceAll(/["\\]/g, String.raw`\$&`)}"`).join(',')}}`
