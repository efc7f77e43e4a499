import { AjvCompiler } from '@fastify/ajv-compiler'
import type { TObject, TSchema } from '@sinclair/typebox'
import type { FastifySchemaValidationError } from 'fastify'
import plugin from 'fastify-plugin'
import { components } from '../contract.ts'
import { isEmail } from '../email-address.ts'
import { readText } from '../text-values.ts'

/**
 * How inputs are checked against their schemas. Bodies are never coerced (Fastify's default turns null into "" and
 * 5 into "5"); text of path and query is read strictly. All faults of a part are told at once. What a schema does not
 * name is dropped before a handler sees it.
 */
const ajv = {
  coerceTypes: false,
  useDefaults: true,
  removeAdditional: 'all',
  allErrors: true,
  validateSchema: false, // tests do: here it would cost a start 40 ms
} as const

/** In place of those of ajv-formats, which take `urn:uuid:…` and addresses that are more than one recipient. */
const formats = { email: isEmail, uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i }

function addFormats(instance: FormatTaker): void {
  for (const [name, format] of Object.entries(formats)) instance.addFormat(name, format)
}

export const validation = plugin(
  (app, _options, done) => {
    for (const component of components.values()) app.addSchema(component)
    const buildCompiler = AjvCompiler() as unknown as CompilerFactory
    const compile = buildCompiler(app.getSchemas(), { customOptions: ajv, onCreate: addFormats })
    app.setValidatorCompiler<TSchema>(({ schema, httpPart }) => {
      let validate: Validate | undefined // compiled when it is first used: no start waits for all of them
      const isHeaders = httpPart === 'headers'
      const used = isHeaders ? inLowerCase(schema as TObject) : schema
      const read = reader(used as TObject, httpPart)
      return (input: unknown) => {
        validate ??= compile({ schema: used })
        const data = read(input)
        const faults = validate(data) ? [] : (validate.errors ?? [])
        if (faults.length > 0 || !isFlatAndStorable(data)) {
          const all = [...faults, ...textFaults(data, new Set(faults.map((fault) => fault.instancePath)))]
          if (all.length > 0) return { error: all.slice(0, MOST_FAULTS) as unknown as Error }
        }
        // Headers that were set would be copied each time that they are read.
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

/** The package's types leave out what Fastify calls it with. */
type CompilerFactory = (
  schemas: Record<string, unknown>,
  options: { customOptions: typeof ajv; onCreate: typeof addFormats },
) => (route: { schema: object }) => Validate

interface Validate {
  (data: unknown): boolean
  errors?: FastifySchemaValidationError[] | null
}

/** What of an input is checked, of these parts of a request. */
function reader(schema: TObject, part: string | undefined): (input: unknown) => unknown {
  if (part === 'body') return (body) => body
  if (part === 'headers') return namedIn(schema)
  return (input) => readProperties(schema, input)
}

/** Of headers a copy, as others than the handler look at them, and of those alone that the schema names. */
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

/** As Node names headers. */
const inLowerCase = ({ properties, ...schema }: TObject) => ({
  ...schema,
  properties: Object.fromEntries(
    Object.entries(properties).map(([name, property]) => [name.toLowerCase(), property]),
  ),
})

/** Path or query with its texts read as the types that the schema names. */
function readProperties(schema: TObject, input: unknown): unknown {
  const values = input as Record<string, unknown>
  for (const [name, property] of Object.entries(schema.properties)) {
    if (Object.hasOwn(values, name)) values[name] = readText(property, values[name])
  }
  return values
}

/** A small request does not get a huge answer: so many faults are told, at places so long. */
const MOST_FAULTS = 100
const LONGEST_WAY = 300

/** PostgreSQL keeps no U+0000, and a lone surrogate would be stored as another character: no text may have them. */
const isStorable = (text: string) => !text.includes('\0') && text.isWellFormed()

/** Most inputs are: then no ways to their values are written down. */
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
 * Texts that can't be stored. Goes over what the schema knows and found no fault with, without recursion, as it may be deep.
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
