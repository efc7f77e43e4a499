import type { FastifyError, FastifyRequest, FastifySchemaValidationError } from 'fastify'
import { type ValidationError, emailFormats } from '../../contract/contract.ts'

/**
 * Ajv's errors in the contract's form; types and texts are Pydantic's, which clients of the FastAPI template know. Values
 * are never repeated, as they may be secrets.
 */
export function validationFaults(error: FastifyError, request: FastifyRequest): ValidationError[] {
  const part = PARTS[error.validationContext ?? 'body']
  if (part === 'body' && (request.body === undefined || request.body === null)) {
    return [{ type: 'missing', loc: ['body'], msg: 'Field required' }]
  }
  return (error.validation ?? []).map((fault) => {
    const { type, msg } = describe(fault, part)
    return { type, loc: [part, ...where(fault)], msg }
  })
}

const PARTS = { body: 'body', querystring: 'query', params: 'path', headers: 'header' } as const

/** A JSON pointer as a path: `/data/0/title` is data, 0, title. */
function where({ instancePath, params, keyword }: FastifySchemaValidationError): (string | number)[] {
  const way = instancePath
    .split('/')
    .slice(1)
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step.replaceAll('~1', '/').replaceAll('~0', '~')))
  return keyword === 'required' ? [...way, String(params.missingProperty)] : way
}

type Fault = Pick<ValidationError, 'type' | 'msg'>

const characters = (limit: unknown) => `${String(limit)} character${limit === 1 ? '' : 's'}`

const items = (limit: unknown) => `${String(limit)} item${limit === 1 ? '' : 's'}`

/** `'a', 'b' or 'c'` */
const alternatives = (values: readonly unknown[]) =>
  values
    .map((value) => `'${String(value)}'`)
    .join(', ')
    .replace(/, (?='[^']*'$)/, ' or ')

const byKeyword: Record<string, (params: Record<string, unknown>) => Fault> = {
  required: () => ({ type: 'missing', msg: 'Field required' }),
  minLength: ({ limit }) => ({
    type: 'string_too_short',
    msg: `String should have at least ${characters(limit)}`,
  }),
  maxLength: ({ limit }) => ({
    type: 'string_too_long',
    msg: `String should have at most ${characters(limit)}`,
  }),
  minimum: ({ limit }) => ({
    type: 'greater_than_equal',
    msg: `Input should be greater than or equal to ${String(limit)}`,
  }),
  maximum: ({ limit }) => ({
    type: 'less_than_equal',
    msg: `Input should be less than or equal to ${String(limit)}`,
  }),
  pattern: ({ pattern }) => ({
    type: 'string_pattern_mismatch',
    msg: `String should match pattern '${String(pattern)}'`,
  }),
  minItems: ({ limit }) => ({ type: 'too_short', msg: `List should have at least ${items(limit)}` }),
  maxItems: ({ limit }) => ({ type: 'too_long', msg: `List should have at most ${items(limit)}` }),
  const: ({ allowedValue }) => ({ type: 'literal_error', msg: `Input should be '${String(allowedValue)}'` }),
  enum: ({ allowedValues }) => ({
    type: 'enum',
    msg: `Input should be ${alternatives(allowedValues as unknown[])}`,
  }),
  text: () => ({ type: 'string_unicode', msg: 'Text should be valid Unicode without U+0000' }),
}

const noEmail: Fault = { type: 'value_error', msg: 'Value is not a valid email address' }

const byFormat: Record<string, Fault> = {
  date: { type: 'date_parsing', msg: 'Input should be a valid date' },
  'date-time': { type: 'datetime_parsing', msg: 'Input should be a valid datetime' },
  uuid: { type: 'uuid_parsing', msg: 'Input should be a valid UUID' },
  email: noEmail,
  [emailFormats.known]: noEmail,
  uri: { type: 'url_parsing', msg: 'Input should be a valid URL' },
}

const byType: Record<string, Fault> = {
  string: { type: 'string_type', msg: 'Input should be a valid string' },
  boolean: { type: 'bool_type', msg: 'Input should be a valid boolean' },
  integer: { type: 'int_type', msg: 'Input should be a valid integer' },
  object: { type: 'model_attributes_type', msg: 'Input should be a valid object' },
  array: { type: 'list_type', msg: 'Input should be a valid list' },
}

/** Types in query and path, where text is parsed. */
const byParsedType: Record<string, Fault> = {
  boolean: { type: 'bool_parsing', msg: 'Input should be a valid boolean, unable to interpret input' },
  integer: {
    type: 'int_parsing',
    msg: 'Input should be a valid integer, unable to parse string as an integer',
  },
}

function describe({ keyword, params }: FastifySchemaValidationError, part: string): Fault {
  const type = String([params.type].flat()[0])
  const fault =
    keyword === 'format'
      ? byFormat[String(params.format)]
      : keyword === 'type'
        ? (part !== 'body' && byParsedType[type]) || byType[type]
        : byKeyword[keyword]?.(params)
  return fault ?? { type: 'value_error', msg: 'Value is not valid' }
}
