import { createHash } from 'node:crypto'
import { type SQL, getTableName, sql } from 'drizzle-orm'
import { IdempotencyKeyReused } from '../../contract/errors.ts'
import { nullRow } from '../../database/columns.ts'
import type { Database } from '../../database/connect.ts'
import type { RevealedTable } from '../owned-table.ts'
import { type Runs, statement } from '../../database/statement.ts'
import { idempotencyKeys as keys } from '../../database/tables.ts'
import type { Asker } from '../access.ts'
import { type Body, bodyValues, givenIn, inputsOfCreation, jsonOf, valueOf } from './body-values.ts'
import {
  type Row,
  VERSION,
  commaSeparated,
  namesOf,
  rowReader,
  selected,
  takeLast,
  versionOf,
} from '../columns.ts'
import { type Counted, type Room, type RowQuota, addCounting, rowQuota } from './quota.ts'

export interface Creation {
  readonly fields: readonly string[]
  /** Rows that one owner may have. */
  readonly most: number
  readonly quota: RowQuota
}

/** The quota of a table's owners. */
export function quotaOf(db: Database, table: RevealedTable, most: number): RowQuota {
  const count = compileCount(table)
  return rowQuota(most, async (asker) => {
    const [counted] = await db.run(count, { asker, most })
    return counted!
  })
}

/**
 * Adds a row of the asker's. With a key (Idempotency-Key) that they used within a day, nothing is added, and the row that
 * was made then is given as it was.
 *
 * @returns what does so. @throws RowQuotaReached, IdempotencyKeyReused where the key was used with other fields
 */
export function rowCreation(db: Database, table: RevealedTable, { fields, most, quota }: Creation) {
  const valuesOf = bodyValues(inputsOfCreation(table, fields))
  const readRow = rowReader(table)
  const create = compileCreate(table, fields)
  const createOnce = compileCreateOnce(table, fields)

  const made = (row: Row) => {
    const version = takeLast(row, VERSION) as string
    readRow(row)
    return { row, version }
  }

  /** @param runs the database, or a transaction */
  return (asker: Asker, body: Body, key?: string, runs: Runs = db) => {
    const values = Object.assign(valuesOf(body), { asker: asker.id, superuser: asker.is_superuser })
    const once =
      key === undefined ? undefined : keyValues(getTableName(table), key, sentOf(table, fields, body))
    const add = async (room: Room) => {
      if (!once) {
        const [row] = await runs.run(create, Object.assign(values, room))
        return row && made(row)
      }
      const [row] = await runs.run(createOnce, Object.assign(values, room, once))
      if (row && !takeLast(row, IS_SAME_BODY)) throw new IdempotencyKeyReused()
      return row && made(row)
    }
    return runs === db
      ? quota.add(asker.id, { with: add, mayBeKnown: once !== undefined })
      : addCounting(most, add)
  }
}

/** What the hash of a body is made of. A field that is not sent equals one that is null, unless it has a default. */
export const sentOf = (table: RevealedTable, fields: readonly string[], body: Body) =>
  fields.map((field) => {
    const { default: fixed, defaultFn, onUpdateFn } = table[field]!
    const hasDefault = [fixed, defaultFn, onUpdateFn].some((found) => found !== undefined)
    const given = givenIn(body, field)
    return given === undefined && hasDefault ? [] : (given ?? null)
  })

/**
 * A key as it is stored: hashed, as clients may put anything in it. The same key for another table is another one.
 *
 * @param what what the key is of: rows, or batches of them
 */
export const keyValues = (what: string, key: string, body: readonly unknown[]) => ({
  idempotency_key: hash(`${what} ${key}`),
  idempotency_body: hash(jsonOf(body)),
})

const hash = (text: string) => createHash('sha256').update(text).digest('base64url')

/** How many rows an owner has, no further than `most`, and when that was: as text, whatever DateStyle is. */
const compileCount = (table: RevealedTable) =>
  statement<{ asker: string; most: number }, Counted>(
    `count ${getTableName(table)} of an owner`,
    (v) => sql`
    select count(*)::integer as count, to_jsonb(now()) #>> '{}' as at
    from (select from ${table} where ${table.owner_id} = ${v.asker} limit ${v.most}::integer) as counted`,
  )

interface Values extends Room {
  readonly asker: string
  readonly superuser: boolean
}

/** Adds a row where there is room; it has `VERSION` beside its columns. Takes `bodyValues` as well. */
export function compileCreate(table: RevealedTable, fields: readonly string[]) {
  const inputs = inputsOfCreation(table, fields)
  return statement<Values, Row>(
    `create ${getTableName(table)}`,
    (v) => sql`
    insert into ${table} (${namesOf(inputs.map(({ column }) => column))})
    select ${commaSeparated(inputs.map(valueOf))}
    where ${hasRoom(table, v)}
    returning ${selected(table, table)}, ${versionOf(table)}`,
  )
}

/**
 * Whether fewer than `room` rows were added since the owner's rows were counted (quota.ts). The time of the count is
 * rounded as `created_at` is, or a row added right after would seem older. One added right before may count twice, which
 * costs no more than another count.
 */
const hasRoom = (
  table: RevealedTable,
  v: Record<'asker' | keyof Room, SQL>,
) => sql`(${v.room}::integer is null or (
      select count(*) < ${v.room}::integer from (
        select from ${table}
        where ${table.owner_id} = ${v.asker} and ${table.created_at} >= ${v.counted_at}::timestamptz(3)
        limit ${v.room}::integer
      ) as newest
    ))`

export const IS_SAME_BODY = 'is same body'

/** Keys are kept for a day, and then as good as new. */
export const isOver = sql`${keys.created_at} < now() - interval '1 day'`

const unlessOver = (column: 'body' | 'answer' | 'version' | 'created_at') =>
  sql`${sql.raw(column)} = case when ${isOver} then ${sql.raw(`excluded.${column}`)} else ${keys[column]} end`

type KeyParameters = Record<'asker' | keyof ReturnType<typeof keyValues>, SQL>

/** Takes the key with an answer, unless it is used already: whoever comes first has it. */
export const keepAnswer = (
  v: KeyParameters,
  answer: SQL,
  from: SQL,
): SQL => sql`insert into ${keys} (user_id, key, body, answer, version)
      select ${v.asker}::uuid, ${v.idempotency_key}::text, ${v.idempotency_body}::text, ${answer},
        pg_current_xact_id()::xid::text
      ${from}
      on conflict (user_id, key) do update set
        ${unlessOver('body')},
        ${unlessOver('answer')},
        ${unlessOver('version')},
        ${unlessOver('created_at')}
      returning body, answer, version`

/** Deletes two keys that are over, after the statement has a key of its own. */
export const removeKeys = (v: KeyParameters): SQL => sql`
      delete from ${keys} where (user_id, key) in (
        select user_id, key from ${keys}
        where exists (select from "kept answer") and ${isOver} and key <> ${v.idempotency_key}
        order by created_at limit 2 for update skip locked
      )`

/**
 * Adds a row unless its key was used within a day, and returns the row of the key as it was made, with `VERSION` and
 * `IS_SAME_BODY`. Whoever comes first has the key; concurrent ones wait for it at the unique index and get the same row.
 * Each use deletes two keys that are over, after it has its own row, so that no two statements can deadlock.
 *
 * The CTEs have names with a space, as no table and no field has: `to_jsonb(name)` prefers a column of that name to the
 * row. The version of the new row (xmin) will be the id of this statement's transaction.
 */
function compileCreateOnce(table: RevealedTable, fields: readonly string[]) {
  const inputs = inputsOfCreation(table, fields)
  const columns = namesOf(inputs.map(({ column }) => column))
  const newRow = inputs.map((input) => sql`${valueOf(input)} as ${sql.identifier(input.column.name)}`)
  return statement<Values & ReturnType<typeof keyValues>, Row>(
    `create ${getTableName(table)} once`,
    (v) => sql`
    with "new row" as (
      select ${commaSeparated(newRow)}
      where exists (
        select from ${keys}
        where ${keys.user_id} = ${v.asker} and ${keys.key} = ${v.idempotency_key} and not (${isOver})
      ) or ${hasRoom(table, v)}
    ),
    "kept answer" as (
      ${keepAnswer(v, sql`to_jsonb("new row")`, sql`from "new row"`)}
    ),
    "written row" as (
      insert into ${table} (${columns})
      select ${columns} from "new row"
      where exists (select from "kept answer" where answer ->> 'id' = "new row".id::text)
    ),
    "removed keys" as (${removeKeys(v)})
    select ${selected(table, sql`made`)}, "kept answer".version as ${sql.identifier(VERSION)},
      "kept answer".body = ${v.idempotency_body} as ${sql.identifier(IS_SAME_BODY)}
    from "kept answer" join jsonb_populate_record(${nullRow(table)}, "kept answer".answer) as made on true`,
  )
}
