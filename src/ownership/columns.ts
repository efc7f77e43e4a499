import { Column, type SQL, type SQLWrapper, getTableColumns, is, sql } from 'drizzle-orm'
import { PgArray, type PgColumn, type PgTable, PgTimestamp } from 'drizzle-orm/pg-core'

/** A row by the names that TypeScript has for its columns. */
export type Row = Record<string, unknown>

export const columnsOf = (table: PgTable): [field: string, column: PgColumn][] =>
  Object.entries(getTableColumns(table))

/** Names of columns, as an insert lists them. */
export const namesOf = (columns: readonly PgColumn[]): SQL =>
  commaSeparated(columns.map(({ name }) => sql.identifier(name)))

/** SQL with a comma between its parts. */
export const commaSeparated = (parts: readonly SQLWrapper[]): SQL => sql.join([...parts], sql`, `)

/** The columns of `table` in a select list, each by its field's name. @param from the table, or what has its columns */
export const selected = (table: PgTable, from: SQLWrapper): SQL =>
  commaSeparated(
    columnsOf(table).map(([field, column]) => {
      const value = sql`${from}.${sql.identifier(column.name)}`
      if (is(column, PgArray))
        return sql`to_json(${elementsAsText(column, value)}) as ${sql.identifier(field)}`
      if (isReadAsText(column)) return sql`${value}::text as ${sql.identifier(field)}`
      return column.name === field ? value : sql`${value} as ${sql.identifier(field)}`
    }),
  )

/** As text, numbers keep their digits. A `char` would lose the spaces at its end, and is text in JSON anyway. */
const elementsAsText = (array: PgColumn, value: SQL) =>
  /^char\b/.test(array.getSQLType()) ? value : sql`${value}::text[]`

/** `db.run` gives a Date already. */
const isDate = (column: PgColumn) => is(column, PgTimestamp) && column.withTimezone

/** Drivers parse dates and times differently, and a Date has no microseconds: the column reads the text. */
const isReadAsText = (column: PgColumn) => /^(date|timestamp)/i.test(column.getSQLType()) && !isDate(column)

/** @returns a function that replaces the driver's values in a row by those of the columns' types */
export function rowReader(table: PgTable): (row: Row) => void {
  const readers = columnsOf(table)
    .filter(([, column]) => !isTrivial(column))
    .map(([field, column]) => ({
      field,
      read: is(column, PgArray)
        ? arrayReader(column.baseColumn)
        : (value: unknown) => column.mapFromDriverValue(value),
    }))
  return (row) => {
    for (const { field, read } of readers) if (row[field] !== null) row[field] = read(row[field])
  }
}

/** Arrays are read as JSON of texts: what drivers and Drizzle 0.45 make of arrays lacks backslashes, and has no booleans. */
function arrayReader(column: PgColumn) {
  const readOne = (text: unknown) =>
    column.dataType === 'boolean' ? text === 'true' : column.mapFromDriverValue(text)
  const read = (value: unknown): unknown =>
    Array.isArray(value) ? value.map(read) : value === null ? null : readOne(value)
  return read
}

/** The driver's value is the column's. Found out once per table, as lists have thousands of values. */
const isTrivial = (column: PgColumn) =>
  isDate(column) ||
  column.dataType === 'json' ||
  column.mapFromDriverValue === Column.prototype.mapFromDriverValue

/** The name that a row's version has beside its columns. No field has a name with a space. */
export const VERSION = 'version of row'

/** The transaction that wrote the row, as PostgreSQL itself notes it: no writer can forget to. */
export const versionOf = (table: PgTable): SQL => sql`${table}.xmin::text as ${sql.identifier(VERSION)}`

/** Removes the last property of a row. To delete any other would have V8 turn the object into a slow dictionary. */
export function takeLast(row: Row, name: string): unknown {
  const value = row[name]
  delete row[name]
  return value
}
