import { DrizzleQueryError, Placeholder, type SQL, is, sql } from 'drizzle-orm'
import { CasingCache } from 'drizzle-orm/casing'

/**
 * A statement written as SQL, its text compiled once; short ones are prepared by PostgreSQL on each connection.
 *
 *     const findUser = statement<{ id: string }, { email: string }>(
 *       'find user',
 *       (v) => sql`select email from ${users} where id = ${v.id}`,
 *     )
 *     const [user] = await db.run(findUser, { id })
 *
 * `npm run sql -- 'find user'` prints one, to be pasted into psql.
 */
export interface Statement<Values extends object, Row extends object> {
  /** For `npm run sql`. */
  readonly name: string
  /** With `$1` for the first parameter. */
  readonly text: string
  /** Whether it may take long: it has a connection for itself, and is planned for its values each time. */
  readonly isLong: boolean
  /** Whether it is the first of a request: under load, requests that have begun are finished first. */
  readonly isFirst: boolean
  /** The value of each parameter, in order. */
  bind(values: Values): unknown[]
  /** Type of a row: text, numbers, booleans, null, JSON; `timestamptz` as Date. */
  readonly row?: Row
}

/** Runs statements. */
export interface Runs {
  /**
   * @returns the rows, `timestamptz` as Date, all else as the driver gives it
   * @throws DrizzleQueryError with the driver's error as its cause
   */
  run<Values extends object, Row extends object>(
    statement: Statement<Values, Row>,
    values: Values,
  ): Promise<Row[]>
}

/** Every statement of the process, by name: a test has PostgreSQL prepare each. */
export const statements = new Map<string, Statement<never, object>>()

/**
 * Compiles a statement.
 *
 * @param write is given a parameter for each value, by name; the same name is the same parameter wherever it stands
 */
export function statement<Values extends object, Row extends object = Record<string, never>>(
  name: string,
  write: (values: Readonly<Record<keyof Values, SQL>>) => SQL,
  { isLong = false, isFirst = false }: { readonly isLong?: boolean; readonly isFirst?: boolean } = {},
): Statement<Values, Row> {
  const names: string[] = []
  const { sql: text } = write(parameters as Readonly<Record<keyof Values, SQL>>).toQuery({
    casing: new CasingCache(),
    escapeName: (identifier) => `"${identifier.replaceAll('"', '""')}"`,
    escapeString: (literal) => `'${literal.replaceAll("'", "''")}'`,
    escapeParam(_index, given) {
      if (!is(given, Placeholder))
        throw new TypeError(`${name}: ${String(given)} is no parameter; write it out`)
      const at = names.indexOf(given.name)
      return `$${at < 0 ? names.push(given.name) : at + 1}`
    },
  })
  const bind = (values: Values) =>
    names.map((parameter) => {
      const value = (values as Record<string, unknown>)[parameter]
      if (value === undefined) throw new TypeError(`${name}: no value for ${parameter}`)
      return value
    })
  const compiled = { name, text: text.trim(), isLong, isFirst, bind }
  statements.set(name, compiled)
  return compiled
}

/** A placeholder for any name. */
const parameters = new Proxy({}, { get: (_target, name) => sql`${sql.placeholder(String(name))}` })

/** A `timestamptz` as PostgreSQL writes it; JavaScript takes years before 100 for those of today. */
export const readTime = (text: string): Date =>
  new Date(text.startsWith('00') ? text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00') : text)

/** A driver's error with its statement, in the form of the query builder's errors. */
export const failed = (text: string, parameters: unknown[], error: unknown) =>
  new DrizzleQueryError(text, parameters, error as Error)
