import { Column, SQL, getTableName, is, sql } from 'drizzle-orm'
import { type IndexedColumn, type PgColumn, getTableConfig } from 'drizzle-orm/pg-core'
import {
  AlreadyExists,
  type ApiErrorKind,
  InvalidCredentials,
  InvalidInput,
  StillReferenced,
} from '../../contract/errors.ts'
import { driverValueOf, nullRow } from '../../database/columns.ts'
import { isTransaction } from '../../database/connect.ts'
import { type Refusal, refusalOf } from '../../database/faults.ts'
import type { RevealedTable } from '../owned-table.ts'
import { type Runs, type Statement, statement } from '../../database/statement.ts'
import { idempotencyKeys } from '../../database/tables.ts'
import { type Body, givenIn, isTooDeep, jsonOf } from './body-values.ts'

/**
 * Turns what the types and constraints of a table refuse into an error at the field that caused it: 422, or 409 where
 * another row conflicts. A body that the schema let through must not become a 500; an error that no field caused is one.
 */
export function refusalsOf(table: RevealedTable, fields: readonly string[]) {
  const name = getTableName(table)
  const declared = constraintsOf(table)
  const trials = new Map(fields.map((field) => [field, compileTrial(table, table[field]!)]))
  const ofJson = fields.filter((field) => table[field]!.dataType === 'json')

  /** Columns of a constraint or unique index, by its name; none where it is another table's. */
  const columnsOf = async (runs: Runs, constraint: string) =>
    declared.get(constraint) ?? (await columnsInCatalogue(runs, name, constraint))

  /** The same error where the bodies stand; one that no field of the table caused is ours. */
  function inData(error: Error | undefined, { code }: Refusal): Error | undefined {
    if (error instanceof InvalidInput) {
      const { loc, msg, type } = error.fault
      return new InvalidInput(['body', 'data', ...loc.slice(1)], msg, type)
    }
    if (error || !/^(22|54)/.test(code)) return error
    return new InvalidInput(['body', 'data'], (DATA[code] ?? VALUE).msg, (DATA[code] ?? VALUE).type)
  }
  const fieldOf = (column: string) => fields.filter((field) => table[field]!.name === column)

  /** The asker was deleted meanwhile: the foreign key of the row's owner, or of the Idempotency-Key's, is violated. */
  async function isOfAsker(runs: Runs, { code, table: refusing, constraint }: Refusal): Promise<boolean> {
    if (code !== '23503') return false
    if (refusing === getTableName(idempotencyKeys)) return true
    const columns = await columnsOf(runs, constraint)
    return columns.length === 1 && columns[0] === table.owner_id.name
  }

  async function toError(runs: Runs, refusal: Refusal, body: Body): Promise<Error | undefined> {
    const { code, constraint, column } = refusal
    if (code.startsWith('23')) {
      const among = (code === '23502' ? [column] : await columnsOf(runs, constraint)).flatMap(fieldOf)
      if (code === '23505' || code === '23P01') return new AlreadyExists(...among)
      return invalid(among[0], CONSTRAINTS[code] ?? CONSTRAINTS['23514']!)
    }
    const field = await culprit(runs, body)
    return field === undefined && code !== '54000' ? undefined : invalid(field, DATA[code] ?? VALUE)
  }

  /** PostgreSQL does not name the column of a value that does not fit, so each value is tried alone. */
  async function culprit(runs: Runs, body: Body): Promise<string | undefined> {
    for (const field of fields) {
      const given = givenIn(body, field) ?? null
      if (given === null) continue
      const column = table[field]!
      const written = column.dataType === 'json' ? given : driverValueOf(column, given)
      try {
        await tried(runs, trials.get(field)!, jsonOf({ [column.name]: written }))
      } catch (error) {
        if (refusalOf(error)) return field
        throw error
      }
    }
    return undefined
  }

  /** JSON that PostgreSQL may accept, but that is nested too deeply to be parsed again. */
  function refuseTooDeep(body: Body) {
    const field = ofJson.find((field) => isTooDeep(givenIn(body, field)))
    if (field !== undefined) throw invalid(field, { ...VALUE, msg: 'Value is nested too deeply' })
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

  /** Not a UUID, so no row has it. */
  const isNoId = ({ code }: Refusal, id: string) => code === '22P02' && !UUID.test(id)

  return {
    refuseTooDeep,
    ofRead: <T>(runs: Runs, id: string, read: Promise<T>, notFound: ApiErrorKind) =>
      refusing(read, (refusal) => (isNoId(refusal, id) ? new notFound() : toError(runs, refusal, {}))),
    ofCreation: <T>(runs: Runs, body: Body, write: Promise<T>) =>
      refusing(write, async (refusal) =>
        (await isOfAsker(runs, refusal)) ? new InvalidCredentials() : toError(runs, refusal, body),
      ),
    /** Which of many bodies it was is not known; its field is. */
    ofCreations: <T>(runs: Runs, write: Promise<T>) =>
      refusing(write, async (refusal) =>
        (await isOfAsker(runs, refusal))
          ? new InvalidCredentials()
          : inData(await toError(runs, refusal, {}), refusal),
      ),
    ofChange: <T>(runs: Runs, id: string, body: Body, write: Promise<T>, notFound: ApiErrorKind) =>
      refusing(write, (refusal) => {
        if (isNoId(refusal, id)) return new notFound()
        const isOfOthers = refusal.code === '23001' || (refusal.code === '23503' && refusal.table !== name)
        return isOfOthers ? new StillReferenced() : toError(runs, refusal, body)
      }),
    /** A foreign key that is violated is one that refers to the row, maybe from its own table. */
    ofDeletion: (runs: Runs, id: string, write: Promise<unknown>, notFound: ApiErrorKind) =>
      refusing(write, (refusal) => {
        if (isNoId(refusal, id)) return new notFound()
        const isReferenced = refusal.code === '23001' || refusal.code === '23503'
        return isReferenced ? new StillReferenced() : toError(runs, refusal, {})
      }),
  }
}

const UUID = /^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/i

/** Columns of the constraints and unique indexes in the declaration, by name. */
function constraintsOf(table: RevealedTable): Map<string, string[]> {
  const { columns, foreignKeys, checks, uniqueConstraints, indexes, primaryKeys } = getTableConfig(table)
  const found = new Map<string, string[]>()
  const add = (constraint: string | undefined, parts: readonly unknown[]) => {
    if (constraint === undefined) return
    found.set(
      constraint,
      parts.filter((part) => is(part, Column)).map(({ name }) => name),
    )
  }
  for (const key of foreignKeys) add(key.getName(), key.reference().columns)
  for (const { name, value } of checks) add(name, columnsWithin(value))
  for (const unique of uniqueConstraints) add(unique.getName(), unique.columns)
  for (const { config } of indexes)
    add(
      config.name,
      config.columns.flatMap((part) =>
        is(part, SQL) ? columnsWithin(part) : [asColumn(table, part as Partial<IndexedColumn>)],
      ),
    )
  for (const key of primaryKeys) add(key.getName(), key.columns)
  for (const column of columns) if (column.isUnique) add(column.uniqueName, [column])
  return found
}

const columnsWithin = (part: SQL): unknown[] =>
  part.queryChunks.flatMap((chunk) =>
    is(chunk, SQL) ? columnsWithin(chunk) : is(chunk, Column) ? [chunk] : [],
  )

/** Reads one column of a row from JSON, which refuses what the column's type does. */
const compileTrial = (table: RevealedTable, column: PgColumn) =>
  statement<{ row: string }>(
    `try ${getTableName(table)}.${column.name}`,
    (v) => sql`
    select (jsonb_populate_record(${nullRow(table)}, ${v.row}::text::jsonb)).${sql.identifier(column.name)}`,
  )

/**
 * Columns of a constraint, in its order, or of an index, from the catalogue: for those that a migration added by hand,
 * and those whose names PostgreSQL has cut to 63 bytes.
 */
const findColumns = statement<{ table: string; constraint: string }, { name: string }>(
  'find columns of constraint',
  (v) => sql`
    select a.attname::text as name
    from pg_attribute a left join pg_constraint c on c.conrelid = a.attrelid and c.conname = ${v.constraint}
    where a.attrelid = quote_ident(${v.table})::regclass
      and case when c.oid is null then exists (
        select from pg_depend d join pg_class i on i.oid = d.objid
        where d.classid = 'pg_class'::regclass and i.relname = ${v.constraint}
          and d.refobjid = a.attrelid and d.refobjsubid = a.attnum
      ) else a.attnum = any(c.conkey) end
    order by array_position(c.conkey, a.attnum), a.attnum`,
)

async function columnsInCatalogue(runs: Runs, table: string, constraint: string): Promise<string[]> {
  const found = await runs.run(findColumns, { table, constraint })
  return found.map(({ name }) => name)
}

/** Runs a trial, which fails on purpose: within a transaction it is taken back alone. */
async function tried(runs: Runs, trial: Statement<{ row: string }, object>, row: string): Promise<void> {
  const run = (inner: Runs) => inner.run(trial, { row })
  await (isTransaction(runs) ? runs.transaction(run) : run(runs))
}

/** The table's own column: an index has copies. */
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
