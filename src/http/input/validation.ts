import { AjvCompiler } from '@fastify/ajv-compiler'
import type { TObject, TSchema } from '@sinclair/typebox'
import type { FastifySchemaValidationError } from 'fastify'
import plugin from 'fastify-plugin'
import { components, emailFormats } from '../../contract/contract.ts'
import { LONGEST_PASSWORD, normalPassword } from '../../text/normal-password.ts'
import { isEmail, isKnownEmail, readEmail } from '../../text/email-address.ts'
import { readText, urlOf } from '../../text/text-values.ts'

/**
 * Validation of inputs by their schemas. Bodies are never coerced (Fastify's default turns null into "" and 5 into "5");
 * path and query are, strictly (Ajv's own coercion takes `0x10`, `1e2` and ` 5` for integers). All errors of a part are
 * reported at once. Unknown fields are removed.
 */
const ajv = {
  coerceTypes: false,
  useDefaults: true,
  removeAdditional: 'all',
  allErrors: true,
  validateSchema: false, // tests do: here it would cost a start 40 ms
} as const

/**
 * Own formats: those of ajv-formats accept `urn:uuid:…`, addresses that are several recipients, and times that PostgreSQL
 * refuses.
 */
const formats = {
  email: isEmail,
  [emailFormats.known]: isKnownEmail,
  [emailFormats.changed]: () => true,
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  date: isDate,
  'date-time': isDateTime,
  uri: isWebAddress,
}

/** RFC 3339, 5.6 */
const DATE = /^(?!0000)\d{4}-\d\d-\d\d$/
const TIME = /^T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i

function isDate(text: string): boolean {
  const time = DATE.test(text) ? Date.parse(text) : Number.NaN
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text) // 30 February would be 2 March
}

function isDateTime(text: string): boolean {
  return isDate(text.slice(0, 10)) && TIME.test(text.slice(10))
}

/** http or https. Anything else may run in a browser (`javascript:`), or read files. */
function isWebAddress(text: string): boolean {
  return /^https?:\/\/[^\s\\]+$/i.test(text) && urlOf(text) !== undefined
}

function addFormats(instance: FormatTaker): void {
  for (const [name, format] of Object.entries(formats)) instance.addFormat(name, format)
}

export const validation = plugin(
  (app, _options, done) => {
    for (const component of components.values()) app.addSchema(component)
    const compiler = (customOptions: object) =>
      AjvCompiler()(app.getSchemas() as Record<string, TSchema>, { customOptions, onCreate: addFormats })
    const withDefaults = compiler(ajv)
    // Defaults are for creation: in PUT and PATCH they would reset fields that were not sent.
    const withoutDefaults = compiler({ ...ajv, useDefaults: false })
    app.setValidatorCompiler<TSchema>(({ schema, httpPart, method }) => {
      const isChange = httpPart === 'body' && (method === 'PUT' || method === 'PATCH')
      const compile = isChange ? withoutDefaults : withDefaults
      const isHeaders = httpPart === 'headers'
      const used = isHeaders ? inLowerCase(schema as TObject) : schema
      const read = reader(used as TObject, httpPart)
      const readEmails = emailsOf(used)
      const validate = compile({ schema: used })
      return (input: unknown) => {
        const data = readEmails ? readEmails(read(input)) : read(input)
        const faults = validate(data) ? [] : (validate.errors ?? [])
        if (faults.length > 0 || !isFlatAndStorable(data)) {
          const all = [...faults, ...textFaults(data, new Set(faults.map((fault) => fault.instancePath)))]
          if (all.length > 0) return { error: all.slice(0, MOST_FAULTS) }
        }
        // Without `value`, headers stay as they are: once set, Fastify copies them on each read.
        return isHeaders ? true : { value: data }
      }
    })
    done()
  },
  { name: 'validation' },
)

interface FormatTaker {
  addFormat(name: string, format: RegExp | ((text: string) => boolean)): unknown
}

/** Brings the addresses within a value into the form in which they are stored. */
type ReadEmails = (value: unknown) => unknown

/** @returns undefined where the schema has none */
function emailsOf(schema: TSchema): ReadEmails | undefined {
  const named = componentOf(schema)
  if (isOfEmails(named)) return (value) => (typeof value === 'string' ? readEmail(value) : value)
  if (named.items !== undefined) {
    const read = emailsOf(named.items as TSchema)
    return read && ((value) => (Array.isArray(value) ? value.map(read) : value))
  }
  const fields = Object.entries((named as Partial<TObject>).properties ?? {}).flatMap(([name, property]) => {
    const read = emailsOf(property)
    return read ? [{ name, read }] : []
  })
  if (fields.length === 0) return undefined
  return (value) => {
    if (typeof value !== 'object' || value === null) return value
    const values = value as Record<string, unknown>
    for (const { name, read } of fields) if (Object.hasOwn(values, name)) values[name] = read(values[name])
    return values
  }
}

const isOfEmails = ({ format }: TSchema) =>
  format === 'email' || Object.values(emailFormats).includes(format as typeof emailFormats.known)

const componentOf = (schema: TSchema): TSchema =>
  (typeof schema.$ref === 'string' ? components.get(schema.$ref.replace(/#$/, '')) : schema) ?? schema

/** Makes the value that is validated from a part of a request. */
function reader(schema: TObject, part: string | undefined): (input: unknown) => unknown {
  if (part === 'body') return normalPasswordsIn(schema)
  if (part === 'headers') return namedIn(schema)
  if (part === 'params') return (input) => withDashes(schema, readProperties(schema, input))
  return (input) => readProperties(schema, input)
}

/**
 * Passwords are counted after NFKC, as they are hashed. A new password is replaced by that form; one to be compared stays as
 * typed unless that is too long, as older hashes may be of the typed form.
 */
function normalPasswordsIn(schema: TSchema): (body: unknown) => unknown {
  const { $ref } = schema as { $ref?: string }
  const named = (($ref === undefined ? schema : components.get($ref.replace('#', ''))) ?? schema) as TObject
  const fields = Object.entries((named.properties as TObject['properties'] | undefined) ?? {})
    .filter(([, { format, maxLength }]) => format === 'password' && maxLength !== undefined)
    .map(([name, { minLength = 0 }]) => ({ name, isChosen: Number(minLength) > 0 }))
  if (fields.length === 0) return (body) => body
  return (body) => {
    if (typeof body !== 'object' || body === null) return body
    const values = body as Record<string, unknown>
    for (const { name, isChosen } of fields) {
      const value = Object.hasOwn(values, name) ? values[name] : undefined
      if (typeof value !== 'string') continue
      if (isChosen || [...value].length > LONGEST_PASSWORD) values[name] = normalPassword(value)
    }
    return body
  }
}

/** A copy of the headers that the schema names, as hooks read the original. */
function namedIn({ properties }: TObject) {
  const names = Object.keys(properties)
  return (input: unknown) => {
    const named: Record<string, unknown> = {}
    for (const name of names) {
      const value = (input as Record<string, unknown>)[name]
      if (value !== undefined) named[name] = value
    }
    return named
  }
}

/** Node's header names are lower case. */
const inLowerCase = ({ properties, ...schema }: TObject) => ({
  ...schema,
  properties: Object.fromEntries(
    Object.entries(properties).map(([name, property]) => [name.toLowerCase(), property]),
  ),
})

/** Path or query, its texts converted to the types of the schema. */
function readProperties(schema: TObject, input: unknown): Record<string, unknown> {
  const values = input as Record<string, unknown>
  for (const [name, property] of Object.entries(schema.properties)) {
    if (Object.hasOwn(values, name)) values[name] = readText(property, values[name])
  }
  return values
}

/** Python's UUID takes an id without dashes, so clients of the FastAPI template may send one: it gets them. */
function withDashes(schema: TObject, values: Record<string, unknown>) {
  for (const [name, { format }] of Object.entries(schema.properties)) {
    const [, ...parts] = (format === 'uuid' && UNDASHED.exec(String(values[name]))) || []
    if (parts.length > 0) values[name] = parts.join('-')
  }
  return values
}

const UNDASHED = /^([\da-f]{8})([\da-f]{4})([\da-f]{4})([\da-f]{4})([\da-f]{12})$/i

/** Limits of an answer's size: errors per answer, and length of a path to one. */
const MOST_FAULTS = 100
const LONGEST_WAY = 300

/** U+0000 can't be stored in PostgreSQL, and a lone surrogate would be stored as U+FFFD. */
const isStorable = (text: string) => !text.includes('\0') && text.isWellFormed()

/** Quick check for most inputs, which need no paths for errors. */
function isFlatAndStorable(data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false
  for (const name of Object.keys(data)) {
    const value = (data as Record<string, unknown>)[name]
    if (typeof value === 'string' ? !isStorable(value) : typeof value === 'object' && value !== null)
      return false
  }
  return true
}

/**
 * Texts that can't be stored, as errors. Iterative, as input may be nested deeply.
 */
function textFaults(data: unknown, faulty: ReadonlySet<string>): FastifySchemaValidationError[] {
  const faults: FastifySchemaValidationError[] = []
  const waiting: [path: string, value: unknown][] = [['', data]]
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [path, value] = next
    if (typeof value === 'string') {
      if (!isStorable(value)) {
        faults.push({ keyword: 'text', instancePath: path, schemaPath: '', params: {} })
      }
    } else if (
      typeof value === 'object' &&
      value !== null &&
      path.length < LONGEST_WAY &&
      (path === '' || !faulty.has(path))
    ) {
      for (const [name, inner] of Object.entries(value)) waiting.push([`${path}/${name}`, inner])
    }
  }
  return faults
}
