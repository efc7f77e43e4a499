import { REDACTED, maskedText } from '../text/masking.ts'

/** For developers: message and text of a failed statement, without values. */

interface FailedStatement {
  readonly message?: unknown
  readonly code?: unknown
  /** Set by Drizzle and by both drivers. */
  readonly query?: unknown
  readonly params?: unknown // the query builder, PGlite
  readonly parameters?: unknown // postgres.js
}

const LONGEST = 2_000

/** SQLSTATE classes whose messages quote only names of the schema; others (22, data exception) quote values. */
const QUOTES_NAMES = /^(23|40|42(?!601))/

/** Quoted parts, in any language of the server, may contain quotes. A keyword at the end is not a value (42601). */
const QUOTED = /(?!"[a-z_]{1,63}"$)["'«»„“”‘’].+|\d+/gis

export function databaseMessage(...errors: FailedStatement[]): string {
  const { message, code } = errors.at(-1) ?? {}
  const told = withoutParameters(textOf(message), errors)
  return maskedText(QUOTES_NAMES.test(textOf(code)) ? told : told.replaceAll(QUOTED, REDACTED))
}

/** Text of the failed statement, if known. */
export function failedStatement(...errors: FailedStatement[]): string | undefined {
  const query = errors.map((error) => textOf(error.query)).find((text) => text !== '')
  return query === undefined ? undefined : maskedText(withoutLiterals(query.slice(0, LONGEST)))
}

const textOf = (value: unknown) => (typeof value === 'string' ? value.slice(0, LONGEST) : '')

/** Tokens of SQL: comments, quoted names, string literals (also $$), placeholders, words, numbers. */
const TOKEN =
  /--.*|\/\*[^]*?(?:\*\/|$)|"[^"]*"?|[eE]'(?:\\[^]|''|[^'\\])*'?|'(?:''|[^'])*'?|\$(\w*)\$[^]*?(?:\$\1\$|$)|\$\d+|[a-zA-Z_]\w*|\d[\w.]*/g

const withoutLiterals = (statement: string) =>
  statement.replaceAll(TOKEN, (token) => {
    if (token.startsWith('--') || token.startsWith('/*')) return ''
    if (/^(e?'|\$\w*\$)/i.test(token)) return "'…'"
    return /^\d/.test(token) ? '…' : token
  })

const MOST_PARAMETERS = 100

/** Messages may quote a parameter anywhere, whole or truncated. */
function withoutParameters(message: string, errors: readonly FailedStatement[]): string {
  const values = errors
    .flatMap(({ params, parameters }) => [params, parameters])
    .flatMap((list) => (Array.isArray(list) ? (list as unknown[]).slice(0, MOST_PARAMETERS) : []))
    .map((value) => (typeof value === 'string' || typeof value === 'number' ? String(value) : ''))
    .filter((text) => text.length > 1)
    .toSorted((a, b) => b.length - a.length)
  let told = message
  for (const text of values) told = told.replaceAll(text, '[value]').replace(text.slice(0, 64), '[value]')
  return told
}
