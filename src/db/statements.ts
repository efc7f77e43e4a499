import { SQL, type SQLWrapper, getTableColumns, is, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'

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
 * `column` takes the value of its name where `assignments` sent one, and stays as it is where not.
 * PostgreSQL infers the value's type from the column.
 */
export function assigned(column: PgColumn): SQL {
  return sql`case when ${sent(column)} then ${encoded(column)} else ${column} end`
}

/** The value of the column's name, or the column's default where that is null and there is one. */
export function valueOrDefault(column: PgColumn): SQL {
  const given = typed(column, encoded(column))
  return column.default === undefined ? given : sql`coalesce(${given}, ${defaultOf(column)})`
}

/**
 * A value said to be of the column's type, where PostgreSQL can't infer it. Without its length, as a cast to
 * varchar(255) would cut what is longer instead of refusing it.
 */
export const typed = (column: PgColumn, given: SQLWrapper): SQL =>
  sql`${given}::${sql.raw(column.getSQLType().replace(/\s*\([\d, ]+\)/, ''))}`

/** The value of the column's name as its type is written (a Date, JSON); null stays null. */
function encoded(column: PgColumn): SQL {
  const encoder = {
    mapToDriverValue: (given: unknown) => (given === null ? null : column.mapToDriverValue(given)),
  }
  return sql`${sql.param(value(column.name), encoder)}`
}

/**
 * What makes, of a body, the values that `assigned` columns of these names ask for: null is a value, undefined is none.
 */
export function assignments(names: readonly string[]) {
  const columns = names.map((name) => ({ name, sent: sentName(name) }))
  return (body: Readonly<Record<string, unknown>>): Record<string, unknown> => {
    const values: Record<string, unknown> = {}
    for (const { name, sent } of columns) {
      values[sent] = body[name] !== undefined
      values[name] = body[name] ?? null
    }
    return values
  }
}

const sentName = (name: string) => `${name}_sent`

/** Whether `column` is sent, as a condition. */
export const sent = (column: PgColumn): SQL => sql`${value(sentName(column.name))}::boolean`

/**
 * Every column of a new row in the table's order, as INSERT … SELECT wants them: what is given, else the column's
 * default, else null.
 */
export function newRow(table: PgTable, given: Record<string, SQLWrapper>): Record<string, SQL> {
  const columns = Object.entries(getTableColumns(table)) as [string, PgColumn][]
  return Object.fromEntries(
    columns.map(([name, column]) => [name, sql`${given[name] ?? defaultOf(column)}`.as(name) as never]),
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
