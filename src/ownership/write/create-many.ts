import { SQL, getTableName, is, sql } from 'drizzle-orm'
import { IdempotencyKeyReused } from '../../contract/errors.ts'
import { driverValueOf, nullRow } from '../../database/columns.ts'
import type { Database } from '../../database/connect.ts'
import { type Runs, statement } from '../../database/statement.ts'
import { idempotencyKeys as keys } from '../../database/tables.ts'
import { type Asker, askerParameters, usableReference } from '../access.ts'
import { type Row, commaSeparated, namesOf, rowReader, selected, takeLast } from '../columns.ts'
import type { RevealedTable } from '../owned-table.ts'
import { type Body, type Input, givenIn, inputsOfCreation, jsonOf } from './body-values.ts'
import { type Creation, IS_SAME_BODY, isOver, keepAnswer, keyValues, removeKeys, sentOf } from './create.ts'
import { type Room, addCounting } from './quota.ts'

/**
 * Adds many rows of the asker's in one statement: all of them, or none. With a key (Idempotency-Key) that they used within
 * a day, nothing is added, and the rows of then are given as they were.
 *
 * @returns what does so: the rows in the order of the bodies. @throws RowQuotaReached, IdempotencyKeyReused
 */
export function rowsCreation(db: Database, table: RevealedTable, { fields, most, quota }: Creation) {
  const inputs = inputsOfCreation(table, fields)
  const create = compileCreateMany(table, inputs)
  const createOnce = compileCreateManyOnce(table, inputs)
  const readRow = rowReader(table)

  return async (asker: Asker, bodies: readonly Body[], key?: string, runs: Runs = db): Promise<Row[]> => {
    if (bodies.length === 0) return []
    const rows = jsonOf(bodies.map((body) => elementOf(inputs, body)))
    const values = { rows, asker: asker.id, superuser: asker.is_superuser }
    const once =
      key === undefined
        ? undefined
        : keyValues(
            `${getTableName(table)}/batch`,
            key,
            bodies.map((body) => sentOf(table, fields, body)),
          )
    async function add({ room }: Room) {
      const added = once
        ? await runs.run(createOnce, { ...values, ...once, room })
        : await runs.run(create, { ...values, room })
      if (added.length === 0) return undefined
      for (const row of added) {
        if (once && !takeLast(row, IS_SAME_BODY)) throw new IdempotencyKeyReused()
        readRow(row)
      }
      return added
    }
    return runs === db ? quota.addMany(asker.id, add) : addCounting(most, add)
  }
}

/** A row by the names of its columns, as jsonb_populate_record takes it. What it has not is null, or the column's default. */
function elementOf(inputs: readonly Input[], body: Body): Row {
  const element: Row = {}
  for (const { field, column, isField, otherwise } of inputs) {
    const sent = isField ? givenIn(body, field) : undefined
    const value = sent === undefined && typeof otherwise === 'function' ? otherwise() : sent
    if (value === undefined) continue
    // JSON stays what it is; everything else is text that the column's type reads.
    element[column.name] = column.dataType === 'json' ? value : driverValueOf(column, value)
  }
  return element
}

const FILLED = sql`"filled row"`

function valueOf({ column, isField, otherwise, target }: Input): SQL {
  const filled = sql`${FILLED}.${sql.identifier(column.name)}`
  const value = target ? usableReference(target, filled, askerParameters) : filled
  if (!is(otherwise, SQL)) return value
  if (!isField) return otherwise
  return sql`case when "given row" ? ${sql.raw(`'${column.name.replaceAll("'", "''")}'`)} then ${value} else ${otherwise} end`
}

interface Values {
  readonly asker: string
  readonly superuser: boolean
  readonly room: number
  /** JSON: an array of rows. */
  readonly rows: string
}

/** The rows to add, in the order in which they were given. Names with a space are no field's. */
const newRows = (
  table: RevealedTable,
  inputs: readonly Input[],
  v: Record<keyof Values, SQL>,
  condition: SQL,
) =>
  sql`
    "new rows" as materialized (
      select "place of row", ${commaSeparated(
        inputs.map((input) => sql`${valueOf(input)} as ${sql.identifier(input.column.name)}`),
      )}
      from jsonb_array_elements(${v.rows}::text::jsonb) with ordinality as given ("given row", "place of row"),
        jsonb_populate_record(${nullRow(table)}, "given row") as "filled row"
      where ${condition}
    )`

/** All of the owner's rows are counted, and no further than they may be. */
const hasRoom = (table: RevealedTable, v: Record<keyof Values, SQL>) => sql`(
        select count(*) + jsonb_array_length(${v.rows}::text::jsonb) <= ${v.room}::integer
        from (select from ${table} where ${table.owner_id} = ${v.asker} limit ${v.room}::integer) as counted
      )`

function compileCreateMany(table: RevealedTable, inputs: readonly Input[]) {
  const columns = namesOf(inputs.map(({ column }) => column))
  return statement<Values, Row>(
    `create many ${getTableName(table)}`,
    (v) => sql`
    with ${newRows(table, inputs, v, hasRoom(table, v))},
    "written rows" as (
      insert into ${table} (${columns}) select ${columns} from "new rows" order by "place of row"
      returning ${selected(table, table)}
    )
    select "written rows".* from "written rows" join "new rows" on "new rows".id = "written rows".id
    order by "place of row"`,
    { isLong: true },
  )
}

function compileCreateManyOnce(table: RevealedTable, inputs: readonly Input[]) {
  const columns = namesOf(inputs.map(({ column }) => column))
  return statement<Values & ReturnType<typeof keyValues>, Row>(
    `create many ${getTableName(table)} once`,
    (v) => sql`
    with ${newRows(
      table,
      inputs,
      v,
      sql`exists (
        select from ${keys}
        where ${keys.user_id} = ${v.asker} and ${keys.key} = ${v.idempotency_key} and not (${isOver})
      ) or ${hasRoom(table, v)}`,
    )},
    "kept answer" as (
      ${keepAnswer(
        v,
        sql`(select jsonb_agg(to_jsonb("new rows") order by "place of row") from "new rows")`,
        sql`where exists (select from "new rows")`,
      )}
    ),
    "written rows" as (
      insert into ${table} (${columns})
      select ${columns} from "new rows"
      where (select answer -> 0 ->> 'id' from "kept answer")
        = (select id::text from "new rows" where "place of row" = 1)
      order by "place of row"
    ),
    "removed keys" as (${removeKeys(v)})
    select ${selected(table, sql`made`)}, "kept answer".body = ${v.idempotency_body} as ${sql.identifier(IS_SAME_BODY)}
    from "kept answer", jsonb_array_elements("kept answer".answer) with ordinality as kept ("kept row", "place of row"),
      jsonb_populate_record(${nullRow(table)}, "kept row") as made
    order by "place of row"`,
    { isLong: true },
  )
}
