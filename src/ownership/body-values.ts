import { SQL, is, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { driverValueOf, typed } from '../database/columns.ts'
import type { RevealedTable } from '../database/owned-table.ts'
import { columnsOf } from './columns.ts'

export type Body = Readonly<Record<string, unknown>>

/** A column that a statement writes, and where its value comes from. */
interface Input {
  readonly field: string
  readonly column: PgColumn
  /** Whether a body may give the value. */
  readonly isField: boolean
  /** The default: SQL, or a function that makes a value each time; null where undefined. */
  readonly otherwise: SQL | (() => unknown) | undefined
}

/** All columns of a new row. Its owner is the parameter `asker`. */
export const inputsOfCreation = (table: RevealedTable, fields: readonly string[]): Input[] =>
  columnsOf(table).map(([field, column]) => ({
    field,
    column,
    isField: fields.includes(field),
    otherwise: column === table.owner_id ? sql`${sql.placeholder('asker')}::uuid` : defaultOf(column),
  }))

/** The fields of a row that is changed; those that are not sent stay. */
export const inputsOfChange = (table: RevealedTable, fields: readonly string[]): Input[] =>
  fields.map((field) => {
    const column = table[field]!
    return { field, column, isField: true, otherwise: sqlOrFunction(column.onUpdateFn) }
  })

function defaultOf({ default: fixed, defaultFn, onUpdateFn }: PgColumn): Input['otherwise'] {
  if (defaultFn) return sqlOrFunction(defaultFn)
  if (fixed === undefined) return sqlOrFunction(onUpdateFn)
  return is(fixed, SQL) ? fixed : () => fixed
}

/** `$default()` and `$onUpdate()` may give SQL, which is a part of the statement then. */
function sqlOrFunction(make: (() => unknown) | undefined): Input['otherwise'] {
  const made = make?.()
  return is(made, SQL) ? made : make
}

/** Fields may have any name, so the names of their parameters have a space, as no other parameter's has. */
const given = (field: string) => sql.placeholder(`field ${field}`)
const isSent = (field: string) => sql`${sql.placeholder(`sent ${field}`)}::boolean`

/** The value of a column in a new row. */
export function valueOf({ field, column, isField, otherwise }: Input): SQL {
  const value = typed(column, given(field))
  if (!is(otherwise, SQL)) return value
  return isField ? sql`case when ${isSent(field)} then ${value} else ${otherwise} end` : otherwise
}

/** `column = …` of an update. PostgreSQL infers the value's type from the column. */
export const assignment = ({ field, column, otherwise }: Input): SQL =>
  sql`${sql.identifier(column.name)} = case when ${isSent(field)} then ${given(field)} else ${is(otherwise, SQL) ? otherwise : column} end`

/** @returns a function that makes a statement's values for these inputs from a body: null is a value, undefined is not */
export function bodyValues(inputs: readonly Input[]) {
  return (body: Body): Record<string, unknown> => {
    const values: Record<string, unknown> = {}
    for (const { field, column, isField, otherwise } of inputs) {
      const sent = isField ? givenIn(body, field) : undefined
      const value = sent === undefined && typeof otherwise === 'function' ? otherwise() : sent
      values[`sent ${field}`] = value !== undefined
      values[`field ${field}`] = driverValueOf(column, value ?? null)
    }
    return values
  }
}

/** A field may be named as something that every object has (`constructor`). */
export const givenIn = (body: Body, field: string): unknown =>
  Object.hasOwn(body, field) ? body[field] : undefined

/** JSON has no bigint. */
export const jsonOf = (value: unknown): string =>
  JSON.stringify(value, (_name, part: unknown) => (typeof part === 'bigint' ? String(part) : part))

/** More than anybody means, and less than the stack has room for wherever JSON is read or written. */
const MOST_NESTED = 500

/** Whether it is nested deeper than can be relied on to be read again. */
export const isTooDeep = (value: unknown, most = MOST_NESTED): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (most === 0 || Object.values(value).some((part) => isTooDeep(part, most - 1)))
