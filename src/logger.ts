import { STATUS_CODES } from 'node:http'
import { type Logger, type LoggerOptions, pino } from 'pino'
import type { Config } from './config.ts'
import { isUnavailable } from './db/faults.ts'

/**
 * Log lines: JSON, and pretty in local. They name people by id alone: no address, token, link or password gets in,
 * neither by a path or header nor by an error.
 */
export async function createLogger(config: Pick<Config, 'ENVIRONMENT' | 'LOG_LEVEL'>): Promise<Logger> {
  const options: LoggerOptions = {
    level: config.LOG_LEVEL,
    serializers: { err: describeError, req: describeRequest, res: describeReply },
    formatters: { log: withoutSecrets },
  }
  return config.ENVIRONMENT === 'local' ? pino(options, await prettyStream()) : pino(options)
}

const SECRETS = new Set([
  'password',
  'new_password',
  'current_password',
  'token',
  'refresh_token',
  'access_token',
  'email',
  'hashed_password',
  'authorization',
])

/** Nothing that is logged is nested deeper; what is may go around in a circle. */
const DEEPEST = 8
const TOO_DEEP = '[too deep]'

/**
 * Masks fields of these names, however deep they stand. pino's own redaction knows paths alone, and copies what every
 * line carries: the two lines of a request took 11 µs with it, and take 5 with this.
 */
const withoutSecrets = (fields: Record<string, unknown>) =>
  mayHaveSecrets(fields) ? maskedFields(fields, DEEPEST) : fields

/** Most lines have none, and nothing nested: these are not copied. */
function mayHaveSecrets(fields: Record<string, unknown>): boolean {
  for (const name of Object.keys(fields)) {
    const field = fields[name]
    if (SECRETS.has(name) || Array.isArray(field) || isPlain(field)) return true
  }
  return false
}

function maskedFields(fields: Record<string, unknown>, depth: number): Record<string, unknown> {
  const masked: Record<string, unknown> = {}
  for (const name of Object.keys(fields))
    masked[name] = SECRETS.has(name) ? '[redacted]' : maskedField(fields[name], depth - 1)
  return masked
}

function maskedField(field: unknown, depth: number): unknown {
  if (Array.isArray(field))
    return depth === 0 ? TOO_DEEP : field.map((one: unknown) => maskedField(one, depth - 1))
  if (isPlain(field)) return depth === 0 ? TOO_DEEP : maskedFields(field, depth)
  return field
}

/**
 * Parameters and queries have no prototype. Requests, answers and errors are not plain: what is told of these, the
 * serializers decide.
 */
function isPlain(field: unknown): field is Record<string, unknown> {
  if (typeof field !== 'object' || field === null) return false
  const prototype: unknown = Object.getPrototypeOf(field)
  return prototype === Object.prototype || prototype === null
}

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
export function describeError(error: unknown): LoggedError & Record<string, unknown> {
  const { name, message, code, stack, cause } = error as Error & { code?: string }
  if (name === 'DrizzleQueryError' || message.startsWith('Failed query:')) {
    const beneath = (cause ?? {}) as Record<string, unknown> & {
      message?: string
      code?: string
      stack?: string
    }
    return {
      type: 'DatabaseError',
      message: isUnavailable(error) ? (beneath.message ?? 'not reachable') : 'a statement failed',
      code: beneath.code,
      table: beneath.table_name ?? beneath.table,
      constraint: beneath.constraint_name ?? beneath.constraint,
      stack: frames(stack),
    }
  }
  return { type: name, message: masked(message), code, stack: frames(stack) }
}

/** The frames of a stack without its first lines, which repeat the message. */
const frames = (stack = '') =>
  stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .join('\n')

interface LoggedRequest {
  method: string
  url: string
  ip: string
  route?: { url?: string | undefined }
}

/** The route rather than the path where there is one: paths carry addresses, queries carry tokens. */
function describeRequest({ method, url, ip, route }: LoggedRequest) {
  return { method, path: route?.url ?? maskedPath(url), ip }
}

const describeReply = ({ statusCode }: { statusCode: number }) => ({
  statusCode,
  status: STATUS_CODES[statusCode],
})

const ADDRESS = /[^\s/"'<>=&?]+(?:@|%40)[^\s/"'<>=&?]+/gi
const masked = (text: string) => text.replace(ADDRESS, '[address]')
const maskedPath = (url: string) => masked(url.split('?', 1)[0] ?? '')
