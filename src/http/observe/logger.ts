import { STATUS_CODES } from 'node:http'
import { type Logger, type LoggerOptions, pino } from 'pino'
import type { Config } from '../../config/config.ts'
import { databaseMessage, failedStatement } from '../../database/database-words.ts'
import { isUnavailable } from '../../database/faults.ts'
import { REDACTED, isSecretName, maskedFields, maskedText } from '../../text/masking.ts'

/**
 * Log lines: JSON, and pretty in local. They name people by id alone: no address, token, link or password gets in,
 * neither by a path or header nor by an error, a text or a field (masking.ts).
 */
export async function createLogger(config: Pick<Config, 'ENVIRONMENT' | 'LOG_LEVEL'>): Promise<Logger> {
  const describe = config.ENVIRONMENT === 'local' ? describeInFull : describeError
  const options: LoggerOptions = {
    level: config.LOG_LEVEL,
    serializers: { err: describe, req: describeRequest, res: describeReply },
    formatters: { log: (fields) => loggedFields(fields, describe) },
    hooks: {
      logMethod(args, method) {
        method.apply(this, maskedArguments(args, describe) as typeof args)
      },
    },
  }
  const logger = config.ENVIRONMENT === 'local' ? pino(options, await prettyStream()) : pino(options)
  // formatters.log is not applied to a child's bindings, so they are masked here.
  const child: Logger['child'] = logger.child
  return Object.assign(logger, {
    child(this: Logger, bindings: Record<string, unknown>, childOptions?: object) {
      const plain = isRequestId(bindings) ? bindings : withoutSecrets(bindings, describe)
      return child.call(this, plain, childOptions)
    },
  })
}

/** What Fastify binds for each request: a UUID, or an id that a trusted proxy chose. */
const isRequestId = (bindings: Record<string, unknown>) =>
  'reqId' in bindings && Object.keys(bindings).length === 1

/** Of a route for health checks, which come every few seconds: only what goes wrong is logged. A quieter LOG_LEVEL stays. */
export const probeLogging = ({ LOG_LEVEL }: Pick<Config, 'LOG_LEVEL'>) =>
  ['info', 'debug', 'trace'].includes(LOG_LEVEL) ? ({ logLevel: 'warn' } as const) : {}

/** Fields that pino's serializers write. */
const SERIALIZED: ReadonlySet<string> = new Set(['err', 'req', 'res'])

type Describe = (error: unknown) => LoggedError

const loggedFields = (fields: Record<string, unknown>, describe: Describe) =>
  fields.res === undefined
    ? withoutSecrets(fields, describe)
    : { ...withoutSecrets(fields, describe), ...whoAsked(fields.res) }

/** Fields are copied only if one may hold a secret. */
const withoutSecrets = (fields: Record<string, unknown>, describe: Describe) =>
  mayHaveSecrets(fields) ? maskedFields(fields, SERIALIZED, describe) : fields

function mayHaveSecrets(fields: Record<string, unknown>): boolean {
  for (const name of Object.keys(fields)) {
    if (SERIALIZED.has(name)) continue
    const type = typeof fields[name]
    if (type === 'string' || type === 'object' || isSecretName(name)) return true
  }
  return false
}

/** The message and its arguments, masked. An error without a message brings its own. */
function maskedArguments([first, message, ...more]: unknown[], describe: Describe): unknown[] {
  const error = first instanceof Error ? first : (first as { err?: unknown } | null | undefined)?.err
  const told = message ?? (error instanceof Error ? describe(error).message : undefined)
  const others = told === undefined ? [] : [told, ...more]
  return [loggable(first), ...others.map((value) => maskedArgument(value, describe))]
}

/** As pino takes it, but for symbols and functions, of which it would write a line that is no JSON. */
function loggable(first: unknown): unknown {
  if (first instanceof Error) return { err: first }
  if (typeof first === 'symbol' || typeof first === 'function') return typeof first
  return typeof first === 'string' ? maskedText(first) : first
}

const maskedArgument = (value: unknown, describe: Describe) =>
  typeof value === 'string' ? maskedText(value) : maskedFields({ value }, SERIALIZED, describe).value

/** pino-pretty is a tool of development and absent from the production image; without it, lines are JSON. */
async function prettyStream() {
  try {
    const { default: pretty } = await import('pino-pretty')
    return pretty({ ignore: 'pid,hostname,reqId', translateTime: 'HH:MM:ss', singleLine: true })
  } catch {
    return process.stdout
  }
}

interface LoggedError {
  type: string
  message: string
  code?: string | undefined
  stack?: string | undefined
}

/**
 * What is told of an error. Messages of the database and the query builder quote values (hashes, addresses): of those,
 * only the code, the table and the constraint are told.
 */
export const describeError = (error: unknown) => described(error, false)

/** In local, also the database's message and the statement, for whoever writes it; still without values. */
export const describeInFull = (error: unknown) => described(error, true)

function described(error: unknown, inFull: boolean): LoggedError & Record<string, unknown> {
  try {
    return description(error, inFull)
  } catch {
    return { type: 'Error', message: 'an error whose fields can not be read', stack: '' }
  }
}

function description(error: unknown, inFull: boolean): LoggedError & Record<string, unknown> {
  if (typeof error !== 'object' || error === null)
    return { type: typeof error, message: maskedText(withoutInput(String(error))) }
  const { name, message, code, stack, cause } = error as Partial<Error> & { code?: unknown }
  const told = { code: plainCode(code), stack: frames(stack, message) }
  const beneath = isOfQueryBuilder(error) ? cause : isOfDatabase(error) ? error : undefined
  if (beneath !== undefined || isOfQueryBuilder(error))
    return {
      ...describeDatabaseError(error, beneath),
      ...(inFull && statementOf(error, beneath)),
      stack: told.stack,
    }
  const type = typeof name === 'string' ? maskedText(name) : 'Error'
  return {
    type,
    message: maskedText(withoutQuotes(withoutInput(message ?? '', error), type, code)),
    ...told,
  }
}

const isOfQueryBuilder = ({ name, message }: Partial<Error>) =>
  name === 'DrizzleQueryError' || message?.startsWith('Failed query:') === true

/** The driver's error (postgres.js or PGlite), inside the query builder's. */
const isOfDatabase = (error: object) => 'severity' in error && 'routine' in error

function describeDatabaseError(error: unknown, driverError: unknown) {
  const beneath = (driverError ?? {}) as Record<string, unknown> & { message?: string; code?: string }
  return {
    type: 'DatabaseError',
    message: isUnavailable(error) ? maskedText(beneath.message ?? 'not reachable') : 'a statement failed',
    code: plainCode(beneath.code),
    table: beneath.table_name ?? beneath.table,
    constraint: beneath.constraint_name ?? beneath.constraint,
  }
}

/** For developers: message and statement. */
function statementOf(error: object, driverError: unknown) {
  const errors = [error, driverError ?? {}]
  const statement = failedStatement(...errors)
  return {
    message: withoutInput(databaseMessage(...errors), error) || 'a statement failed',
    ...(statement !== undefined && { statement: withoutInput(statement, error) }),
  }
}

const plainCode = (code: unknown) =>
  (typeof code === 'string' && /^\w{1,64}$/.test(code)) || typeof code === 'number' ? String(code) : undefined

/** Messages of Fastify and of parsers quote the path or the body. */
const withoutQuotes = (message: string, type: string, code: unknown) =>
  String(code).startsWith('FST_') || type === 'SyntaxError'
    ? message.slice(0, LONGEST_MESSAGE).replace(/["'].*["']|: .*$/s, REDACTED)
    : message

/** Texts of the request that an error is about. */
const inputs = new WeakMap<object, readonly string[]>()
const MOST_INPUTS = 100
const SHORTEST_INPUT = 4
const LONGEST_MESSAGE = 8_000

/** What an error tells is told without the texts that the request sent, wherever its message repeats them. */
export function rememberInput(error: unknown, { body, query, params, headers }: RequestInput): void {
  if (typeof error !== 'object' || error === null) return
  const texts: string[] = []
  collectTexts([headers.authorization?.split(' '), params, body, query], texts)
  inputs.set(
    error,
    texts.toSorted((a, b) => b.length - a.length),
  )
}

interface RequestInput {
  readonly body: unknown
  readonly query: unknown
  readonly params: unknown
  readonly headers: { readonly authorization?: string | undefined }
}

function collectTexts(value: unknown, texts: string[], depth = 4): void {
  if (texts.length >= MOST_INPUTS) return
  if (typeof value === 'string' && value.length >= SHORTEST_INPUT) texts.push(value)
  else if (typeof value === 'object' && value !== null && depth > 0)
    for (const name in value) collectTexts((value as Record<string, unknown>)[name], texts, depth - 1)
}

/** What was put in their place is not looked at again: it can't grow. */
function withoutInput(message: string, error?: object): string {
  let told = [message.slice(0, LONGEST_MESSAGE)]
  for (const text of (error && inputs.get(error)) ?? []) told = told.flatMap((part) => around(part, text))
  return told.join('[input]')
}

/** What is around each occurrence. Looks for the beginning of a text: a message may have been cut within it. */
function around(part: string, text: string): string[] {
  const start = text.slice(0, 64)
  const left: string[] = []
  let from = 0
  for (let at = part.indexOf(start); at >= 0; at = part.indexOf(start, from)) {
    left.push(part.slice(from, at))
    from = at + text.length
  }
  return [...left, part.slice(from)]
}

const LONGEST_STACK = 8_000

/** The frames of a stack without what comes before, which repeats the message: that may have lines like these. */
function frames(stack: unknown, message: unknown): string {
  if (typeof stack !== 'string') return ''
  const text = typeof message === 'string' ? message : ''
  const from = Math.max(stack.indexOf(text), 0) + text.length
  return stack
    .slice(from, from + LONGEST_STACK)
    .split('\n')
    .filter((line) => /^ {4}at /.test(line))
    .join('\n')
}

interface LoggedRequest {
  method: string
  url: string
  ip: string
  routeOptions?: { url?: string | undefined }
  server?: { pathWords?: ReadonlySet<string> }
}

/** The route's pattern instead of the path, as paths and queries carry addresses and tokens. */
function describeRequest({ method, url, ip, routeOptions, server }: LoggedRequest) {
  return { method, path: routeOptions?.url ?? maskedPath(url, server?.pathWords), ip }
}

const LONGEST_PATH = 512

/** A path without a route, with every segment masked that is not part of a route. */
const maskedPath = (url: string, words: ReadonlySet<string> | undefined) =>
  url
    .slice(0, LONGEST_PATH)
    .split('?', 1)[0]!
    .split('/')
    .map((word) => (word === '' || words?.has(word) ? word : '*'))
    .join('/')

interface LoggedReply {
  readonly statusCode: number
  readonly request?: { readonly currentUser?: SignedIn | null; readonly signedIn?: SignedIn | null }
}

interface SignedIn {
  readonly id: string
  readonly session_id: string
  readonly api_key?: { readonly id: string } | null
}

const describeReply = ({ statusCode }: LoggedReply) => ({ statusCode, status: STATUS_CODES[statusCode] })

/** The signed-in user of the request, if any. */
function whoAsked(reply: unknown) {
  const { currentUser, signedIn } = (reply as LoggedReply | undefined)?.request ?? {}
  const who = currentUser ?? signedIn
  if (!who) return undefined
  return who.api_key
    ? { actor_id: who.id, api_key_id: who.api_key.id }
    : { actor_id: who.id, session_id: who.session_id }
}
