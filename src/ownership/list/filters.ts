import { type TSchema, Type } from '@sinclair/typebox'
import { type SQL, and, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { InvalidInput } from '../../contract/errors.ts'
import { arrayOf, driverValueOf, typeOf } from '../../database/columns.ts'
import type { Field } from '../fields.ts'
import type { Ownership, RevealedTable } from '../owned-table.ts'

/**
 * Filters of a list: `status=open`, `status=open&status=done` for either, `due[gte]=2026-01-01`, and `due[null]=true` for
 * rows that have none. Several filters hold together.
 */

/** The query of a list with these filters, beside `PageRequest`. */
export type FilterRequest<Filter extends string> = {
  readonly [name in Filter | `${Filter}[${Range | 'null'}]`]?: unknown
}

type Range = keyof typeof RANGES

const RANGES = {
  gt: { sign: '>', words: 'after this' },
  gte: { sign: '>=', words: 'from this on' },
  lt: { sign: '<', words: 'before this' },
  lte: { sign: '<=', words: 'up to this' },
} as const

const MOST_VALUES = 100

/** One parameter of the query, and the condition that it is in SQL, which holds where the parameter is not given. */
interface Filter {
  readonly name: string
  readonly schema: TSchema
  readonly condition: SQL
  /** The value of the statement's parameter. */
  encode(given: unknown): string | boolean
}

/** Filters of a table. */
export interface Filters {
  /** What they ask for all together: one SQL text, whichever are given. */
  readonly condition: SQL
  /**
   * @param values of the statement's parameters, null where a filter is not given
   * @param key tells the same filters from others, for cursors; empty where there are none
   */
  read(request: object): { readonly values: Record<string, unknown>; readonly key: string }
}

/** @returns undefined where the table has no filters */
export function filtersOf(table: RevealedTable, ownership: Ownership): Filters | undefined {
  const filters = filtersIn(table, ownership)
  if (filters.length === 0) return undefined
  return {
    condition: and(...filters.map(({ condition }) => condition))!,
    read(request) {
      const values: Record<string, unknown> = {}
      const said: unknown[] = []
      for (const { name, encode } of filters) {
        const given = Object.hasOwn(request, name) ? (request as Record<string, unknown>)[name] : undefined
        const value = given === undefined ? null : encode(given)
        values[parameterOf(name)] = value
        if (value !== null) said.push(name, value)
      }
      return { values, key: said.length > 0 ? JSON.stringify(said) : '' }
    },
  }
}

/** The query's part of them, for the contract. */
export const filterQuery = (table: RevealedTable, ownership: Ownership): Record<string, TSchema> =>
  Object.fromEntries(filtersIn(table, ownership).map(({ name, schema }) => [name, Type.Optional(schema)]))

const filtersIn = (table: RevealedTable, { filter, declared }: Ownership): Filter[] =>
  filter.flatMap((field) => filtersOfField(field, table[field]!, declared[field]!))

/** A name with a space is no other parameter's. */
const parameterOf = (name: string) => `filter ${name}`

function filtersOfField(field: string, column: PgColumn, declared: Field): Filter[] {
  // A schema for one value; what it is an example of, and its default, are the row's.
  const { examples: _examples, description: _description, default: _default, ...value } = declared.schema
  const given = (name: string) => sql`${sql.placeholder(parameterOf(name))}::text`
  const unless = (name: string, condition: SQL) => sql`(${given(name)} is null or ${condition})`
  /** @throws InvalidInput for a time that PostgreSQL does not take */
  const written = (name: string) => (one: unknown) => {
    const value = String(driverValueOf(column, one))
    if (column.dataType === 'date' && value === '')
      throw new InvalidInput(['query', name], 'Input should be a valid datetime', 'datetime_parsing')
    return value
  }

  const values: Filter = {
    name: field,
    schema: Type.Array(value, {
      minItems: 1,
      maxItems: MOST_VALUES,
      description: `Only rows with this \`${field}\`, or with one of several.`,
    }),
    condition: unless(field, sql`${column} = any(${given(field)}::${typeOf(column)}[])`),
    encode: (all) => arrayOf([...new Set([all].flat().map(written(field)))].toSorted()),
  }
  const ranges = Object.entries(RANGES).map(([operator, { sign, words }]): Filter => {
    const name = `${field}[${operator}]`
    return {
      name,
      schema: { ...(value as TSchema), description: `Only rows whose \`${field}\` is ${words}.` },
      condition: unless(name, sql`${column} ${sql.raw(sign)} ${given(name)}::${typeOf(column)}`),
      encode: written(name),
    }
  })
  const name = `${field}[null]`
  const isNull = sql`${sql.placeholder(parameterOf(name))}::boolean`
  const nulls: Filter = {
    name,
    schema: Type.Boolean({ description: `Only rows without \`${field}\`, or only rows with it.` }),
    condition: sql`(${isNull} is null or (${column} is null) = ${isNull})`,
    encode: Boolean,
  }
  return [values, ...(declared.filter === 'range' ? ranges : []), ...(declared.isNullable ? [nulls] : [])]
}
