import { SQL, is, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { driverValueOf, typed } from '../../database/columns.ts'
import { askerParameters, isSent, targetOf, usableReference } from '../access.ts'
import { columnsOf } from '../columns.ts'
import type { RevealedTable } from '../owned-table.ts'

/** Fields by name, as a body has them. */
export type Body = object

/** A column that a statement writes, and where its value comes from. */
export interface Input {
  readonly field: string
  readonly column: PgColumn
  /** Whether a body may give the value. */
  readonly isField: boolean
  /** The default: SQL, or a function that makes a value each time; null where undefined. */
  readonly otherwise: SQL | (() => unknown) | undefined
  /** The table that a field refers to, owned or users. */
  readonly target: PgTable | undefined
}

/** All columns of a new row. Its owner is the parameter `asker`. */
export const inputsOfCreation = (table: RevealedTable, fields: readonly string[]): Input[] =>
  columnsOf(table).map(([field, column]) => ({
    field,
    column,
    isField: fields.includes(field),
    otherwise: column === table.owner_id ? askerParameters.asker : defaultOf(column),
    target: column === table.owner_id ? undefined : targetOf(table, column),
  }))

/** The fields of a row that is changed; those that are not sent stay. */
export const inputsOfChange = (table: RevealedTable, fields: readonly string[]): Input[] =>
  fields.map((field) => {
    const column = table[field]!
    const otherwise = sqlOrFunction(column.onUpdateFn)
    return { field, column, isField: true, otherwise, target: targetOf(table, column) }
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

/** The value that a body has for a field. */
const given = (field: string) => sql.placeholder(`field ${field}`)

/** In the place of `given`, what a reference to a row that the asker may not read has been turned into. */
const usable = (target: PgTable | undefined, given: SQL): SQL =>
  target ? usableReference(target, given, askerParameters) : given

/** The value of a column in a new row. */
export function valueOf(input: Input): SQL {
  const { field, column, isField, otherwise, target } = input
  const value = usable(target, typed(column, given(field)))
  if (!is(otherwise, SQL)) return value
  return isField ? sql`case when ${isSent(field)} then ${value} else ${otherwise} end` : otherwise
}

/** `column = …` of an update. PostgreSQL infers the value's type from the column. */
export function assignment(input: Input): SQL {
  const { field, column, otherwise, target } = input
  const value = target ? usable(target, typed(column, given(field))) : given(field)
  return sql`${sql.identifier(column.name)} = case when ${isSent(field)} then ${value} else ${is(otherwise, SQL) ? otherwise : column} end`
}

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
  Object.hasOwn(body, field) ? (body as Readonly<Record<string, unknown>>)[field] : undefined

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
