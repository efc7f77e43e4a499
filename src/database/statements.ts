import { SQL, type SQLWrapper, getTableColumns, is, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { driverValueOf } from './columns.ts'

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
const givenIn = (body: Readonly<Record<string, unknown>>, field: string): unknown =>
  Object.hasOwn(body, field) ? body[field] : undefined

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

/** What `$default()` or `$onUpdate()` gives, where that is SQL and so a part of the statement. */
function sqlOf(make: (() => unknown) | undefined): SQL | undefined {
  const made = make?.()
  return is(made, SQL) ? made : undefined
}

/** The value of a field as the column's type is written (a Date, JSON); null stays null. */
function encoded(column: PgColumn, field: string): SQL {
  const encoder = { mapToDriverValue: (given: unknown) => driverValueOf(column, given) }
  return sql`${sql.param(fieldValue(field), encoder)}`
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
