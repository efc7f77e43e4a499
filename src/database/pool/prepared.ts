import { Column, DrizzleQueryError, Param, Placeholder, SQL, Subquery, getTableName, is } from 'drizzle-orm'
import type { Database } from '../connect.ts'

/**
 * Lets prepared statements run straight on the driver. Drizzle builds them, and its types say what comes back; but
 * running them its way looks up, for every field of every row, what kind of decoder it has and where its value goes.
 * That is the same each time, so here it is worked out once a statement.
 */

/** How the driver runs a statement. Values are as the database writes them. */
export interface Driver {
  /** A row is an array of values. */
  readonly arrays: (text: string, params: unknown[]) => PromiseLike<unknown[][]>
  /** A row is an object by the names that columns have in the answer. */
  readonly objects: (text: string, params: unknown[]) => PromiseLike<Row[]>
}

type Row = Record<string, unknown>
type Values = Record<string, unknown>

/** What of Drizzle's objects is used beyond its types. */
interface Statement {
  execute(values?: Values): Promise<unknown>
  readonly params: readonly unknown[]
  readonly fields: readonly Field[] | undefined
  readonly queryString: string
  /** Of joined tables by name: whether there always is a row. Set after `prepareQuery`. */
  readonly joinsNotNullableMap: Record<string, boolean> | undefined
}

interface Field {
  readonly path: readonly string[]
  readonly field: unknown
}

interface Decoder {
  mapFromDriverValue(value: unknown): unknown
}

/** Has statements that `db` prepares by name run by `driver`; others stay as they are. */
export function runPreparedBy(db: Database, driver: Driver): void {
  const { session } = db as unknown as { session: { prepareQuery(...args: unknown[]): Statement } }
  const prepareQuery = session.prepareQuery.bind(session)
  session.prepareQuery = (...args) => {
    const statement = prepareQuery(...args)
    const name = args[2]
    const custom = args[4]
    if (name === undefined || !statement.fields || custom !== undefined) return statement
    return Object.assign(statement, { execute: executor(statement, statement.fields, driver) })
  }
}

/** How a statement is asked, and what is made of its answer. */
interface Way {
  ask(text: string, params: unknown[]): PromiseLike<unknown[]>
  read(rows: unknown[]): Row[]
}

function executor(statement: Statement, fields: readonly Field[], driver: Driver) {
  const { queryString, params } = statement
  const bind = binder(params)
  let way: Way | undefined
  return async (values: Values = {}) => {
    const bound = bind(values)
    try {
      way ??= isAsAnswered(fields) ? inPlace(fields, driver) : rebuilt(statement, fields, driver)
      return way.read(await way.ask(queryString, bound))
    } catch (error) {
      throw new DrizzleQueryError(queryString, bound, error as Error)
    }
  }
}

/** Puts the values of an execution where the statement has their names. */
function binder(params: readonly unknown[]): (values: Values) => unknown[] {
  const binds = params.map((param): ((values: Values) => unknown) => {
    if (is(param, Placeholder)) return (values) => given(values, param.name)
    if (is(param, Param) && is(param.value, Placeholder)) {
      const { encoder } = param
      const { name } = param.value
      return (values) => encoder.mapToDriverValue(given(values, name))
    }
    return () => param
  })
  return (values) => binds.map((bind) => bind(values))
}

function given(values: Values, name: string): unknown {
  if (name in values) return values[name]
  throw new Error(`No value for placeholder "${name}" was provided`)
}

/** Whether a selection has fields beside each other alone, each by the name that the answer has for it. */
const isAsAnswered = (fields: readonly Field[]) =>
  fields.every(({ path, field }) => path.length === 1 && path[0] === nameInAnswer(field))

function nameInAnswer(field: unknown): string | undefined {
  if (is(field, SQL.Aliased)) return field.fieldAlias
  return is(field, Column) ? field.name : undefined
}

/** The driver's objects are the rows, and what has to be read is read in its place. */
function inPlace(fields: readonly Field[], { objects }: Driver): Way {
  const reads = fields.flatMap(({ path: [name = ''], field }) => {
    const read = readerOf(field)
    return read === undefined ? [] : [(row: Row) => (row[name] = row[name] === null ? null : read(row[name]))]
  })
  return {
    ask: objects,
    read(rows) {
      for (const read of reads) (rows as Row[]).forEach(read)
      return rows as Row[]
    },
  }
}

function rebuilt({ joinsNotNullableMap }: Statement, fields: readonly Field[], { arrays }: Driver): Way {
  const read = rowReader(fields, joinsNotNullableMap)
  return { ask: arrays, read: (rows) => (rows as unknown[][]).map(read) }
}

/** Makes an object of a row: fields beside each other, or one level deeper where a selection is nested. */
function rowReader(fields: readonly Field[], always: Record<string, boolean> | undefined) {
  const beside: Cell[] = []
  const groups = new Map<string, Group>()
  for (const [index, { path, field }] of fields.entries()) {
    const cell = { index, name: path.at(-1)!, read: readerOf(field) }
    if (path.length === 1) {
      beside.push(cell)
      continue
    }
    const group = groups.get(path[0]!)
    if (group) group.cells.push(cell)
    else groups.set(path[0]!, { name: path[0]!, cells: [cell], mayLack: mayLack(field, always) })
  }
  const nested = [...groups.values()]
  return (row: unknown[]) => {
    const result = readCells(beside, row)
    for (const { name, cells, mayLack } of nested)
      result[name] = mayLack && row[cells[0]!.index] === null ? null : readCells(cells, row)
    return result
  }
}

interface Cell {
  readonly index: number
  readonly name: string
  /** Undefined where the value stays as the driver gives it. */
  readonly read: ((value: unknown) => unknown) | undefined
}

interface Group {
  readonly name: string
  readonly cells: Cell[]
  /** As Drizzle has it: the row of a joined table is absent where its first column is null. */
  readonly mayLack: boolean
}

function readCells(cells: readonly Cell[], row: unknown[]) {
  const result: Row = {}
  for (const { index, name, read } of cells) {
    const value = row[index]
    result[name] = read === undefined || value === null ? value : read(value)
  }
  return result
}

const mayLack = (field: unknown, always: Record<string, boolean> | undefined) =>
  always !== undefined && is(field, Column) && !always[getTableName(field.table)]

/** Looked up once: columns of a subquery are proxies, and slow to ask. */
function readerOf(field: unknown): Cell['read'] {
  const decoder = decoderOf(field)
  // oxlint-disable-next-line typescript/unbound-method -- compared, and bound below
  const { mapFromDriverValue: read } = decoder
  // oxlint-disable-next-line typescript/unbound-method -- what columns have that read nothing
  return read === Column.prototype.mapFromDriverValue ? undefined : read.bind(decoder)
}

function decoderOf(field: unknown): Decoder {
  if (is(field, Column)) return field
  if (is(field, SQL)) return (field as unknown as { decoder: Decoder }).decoder
  if (is(field, Subquery)) return (field._.sql as unknown as { decoder: Decoder }).decoder
  return (field as { sql: { decoder: Decoder } }).sql.decoder
}
