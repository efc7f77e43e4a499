import { Column, SQL, getTableName, is, sql } from 'drizzle-orm'
import { type IndexedColumn, type PgColumn, getTableConfig } from 'drizzle-orm/pg-core'
import {
  AlreadyExists,
  type ApiErrorKind,
  InvalidCredentials,
  InvalidInput,
  StillReferenced,
} from '../errors.ts'
import type { Database } from './connect.ts'
import { type Refusal, refusalOf } from './faults.ts'
import type { RevealedTable } from './owned-table.ts'
import { givenIn } from './statements.ts'

type Body = Readonly<Record<string, unknown>>

/**
 * What a table's own types and constraints refuse, said at the field that it is about: 422, and 409 where another row is
 * in the way. Whatever a schema lets through, a body is no fault of ours; what no field is the reason of is one.
 */
export function refusalsOf(db: Database, table: RevealedTable, fields: readonly string[]) {
  const name = getTableName(table)
  const fieldsOf = constraintsOf(table, fields)

  async function toError(refusal: Refusal, body: Body): Promise<Error | undefined> {
    const { code, constraint, column } = refusal
    const among =
      code === '23502' ? [fields.find((field) => table[field]!.name === column)] : fieldsOf(constraint)
    if (code === '23505' || code === '23P01')
      return new AlreadyExists(...among.filter((field) => field !== undefined))
    if (code.startsWith('23')) return invalid(among[0], CONSTRAINTS[code] ?? CONSTRAINTS['23514']!)
    const field = await culprit(body)
    return field === undefined && code !== '54000' ? undefined : invalid(field, DATA[code] ?? VALUE)
  }

  /** A value that does not fit its column is told without the column's name, so each is tried by itself. */
  async function culprit(body: Body): Promise<string | undefined> {
    for (const field of fields) {
      const given = givenIn(body, field) ?? null
      if (given === null) continue
      const column = sql.identifier(table[field]!.name)
      const row = JSON.stringify({ [table[field]!.name]: given })
      try {
        await db.execute(sql`select (jsonb_populate_record(null::${table}, ${row}::text::jsonb)).${column}`)
      } catch (error) {
        if (refusalOf(error)) return field
        throw error
      }
    }
    return undefined
  }

  async function refusing<T>(
    write: Promise<T>,
    toError: (refusal: Refusal) => Error | Promise<Error | undefined>,
  ): Promise<T> {
    try {
      return await write
    } catch (error) {
      const refusal = refusalOf(error)
      throw (refusal && (await toError(refusal))) ?? error
    }
  }

  /** An id that is none is nobody's. */
  const isNoId = ({ code }: Refusal, id: string) => code === '22P02' && !UUID.test(id)

  return {
    ofRead: <T>(id: string, read: Promise<T>, notFound: ApiErrorKind) =>
      refusing(read, (refusal) => (isNoId(refusal, id) ? new notFound() : toError(refusal, {}))),
    ofCreation: <T>(body: Body, write: Promise<T>) =>
      refusing(write, (refusal) => {
        const isOfAsker = refusal.code === '23503' && fieldsOf(refusal.constraint).length === 0
        return isOfAsker ? new InvalidCredentials() : toError(refusal, body)
      }),
    ofChange: <T>(id: string, body: Body, write: Promise<T>, notFound: ApiErrorKind) =>
      refusing(write, (refusal) => {
        if (isNoId(refusal, id)) return new notFound()
        const isOfOthers = refusal.code === '23001' || (refusal.code === '23503' && refusal.table !== name)
        return isOfOthers ? new StillReferenced() : toError(refusal, body)
      }),
  }
}

const UUID = /^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/i

/** The fields that a constraint or unique index is about, by its name; none where it is unknown, or about no field. */
function constraintsOf(table: RevealedTable, fields: readonly string[]): (constraint: string) => string[] {
  const { name, foreignKeys, checks, uniqueConstraints, indexes, primaryKeys } = getTableConfig(table)
  const fieldOf = ({ name }: { name: string }) => fields.filter((field) => table[field]!.name === name)
  const found = new Map<string, string[]>()
  const add = (constraint: string | undefined, columns: readonly unknown[]) => {
    if (constraint !== undefined)
      found.set(constraint, columns.filter((column) => is(column, Column)).flatMap(fieldOf))
  }
  for (const key of foreignKeys) add(key.getName(), key.reference().columns)
  for (const { name, value } of checks) add(name, columnsOf(value))
  for (const unique of uniqueConstraints) add(unique.getName(), unique.columns)
  for (const { config } of indexes)
    add(
      config.name,
      config.columns.flatMap((part) =>
        is(part, SQL) ? columnsOf(part) : [asColumn(table, part as Partial<IndexedColumn>)],
      ),
    )
  for (const key of primaryKeys) add(key.getName(), key.columns)
  for (const field of fields) {
    const column = table[field]!
    if (column.isUnique) add(column.uniqueName, [column])
  }
  // What a migration adds by hand is named as PostgreSQL would: table, columns, kind.
  const byName = (constraint: string) =>
    fields.filter((field) => constraint.startsWith(`${name}_${table[field]!.name}_`))
  return (constraint) => found.get(constraint) ?? byName(constraint)
}

const columnsOf = (part: SQL): unknown[] =>
  part.queryChunks.flatMap((chunk) => (is(chunk, SQL) ? columnsOf(chunk) : is(chunk, Column) ? [chunk] : []))

/** An index has copies of its table's columns. */
const asColumn = (table: RevealedTable, { name }: Partial<IndexedColumn>): PgColumn | undefined =>
  Object.values(table as Record<string, PgColumn>).find(
    (column) => is(column, Column) && column.name === name,
  )

const VALUE = { type: 'value_error', msg: 'Value is not valid' }

const CONSTRAINTS: Record<string, typeof VALUE> = {
  '23502': { type: 'missing', msg: 'Field required' },
  '23503': { type: 'value_error', msg: 'Value refers to nothing that is there' },
  '23514': { type: 'value_error', msg: 'Value is not allowed' },
}

/** SQLSTATE class 22 (PostgreSQL manual, appendix A). */
const DATA: Record<string, typeof VALUE> = {
  '22001': { type: 'string_too_long', msg: 'String is too long' },
  '54000': { type: 'string_too_long', msg: 'String is too long' },
  '22003': { type: 'value_error', msg: 'Value is out of range' },
  '22007': { type: 'datetime_parsing', msg: 'Input should be a valid date or time' },
  '22008': { type: 'datetime_parsing', msg: 'Input should be a valid date or time' },
}

const invalid = (field: string | undefined, { type, msg }: typeof VALUE) =>
  new InvalidInput(field === undefined ? ['body'] : ['body', field], msg, type)
