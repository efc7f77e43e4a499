import { AjvCompiler } from '@fastify/ajv-compiler'
import type { Document, Json, MediaType, Operation } from '../support/document.ts'

/** What an instance said to one request. */
export interface Said {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

const REF = '#/components/schemas/'
type Validate = ((value: unknown) => boolean) & {
  errors?: { instancePath: string; message?: string }[] | null
}
type Compiler = (schemas: Json, options: object) => (route: { schema: Json }) => Validate

/** Holds answers against the document: @returns what is wrong with one, or undefined where nothing is. */
export function answerChecker({ components }: Document) {
  const named = (schema: unknown) => JSON.parse(JSON.stringify(schema).replaceAll(REF, '')) as Json
  const schemas = Object.entries(components.schemas).map(([name, schema]) => [
    name,
    { ...named(schema), $id: name },
  ])
  const options = { customOptions: { strict: false, allErrors: true, coerceTypes: false } }
  const compile = (AjvCompiler() as unknown as Compiler)(Object.fromEntries(schemas), options)

  return ({ responses }: Operation, { status, headers, text }: Said): string | undefined => {
    const declared = responses[status]
    if (!declared) return `${status} is not declared: ${text.slice(0, 200)}`
    for (const name of Object.keys(declared.headers ?? {}))
      if (!headers.has(name)) return `${status} without the header ${name}`
    const [mediaType, media] = Object.entries(declared.content ?? {})[0] ?? []
    const came = headers.get('content-type') ?? 'nothing'
    if (mediaType && !came.startsWith(mediaType)) return `${status} is ${came}, not ${mediaType}`
    if (mediaType !== 'application/json' || !media) return undefined
    const validate = compile({ schema: named(media.schema) })
    const body = read(text)
    if (validate(body)) return unnamed(media, status, body)
    const faults = (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
    return `${status} does not fit its schema: ${faults.join('; ')}`
  }
}

/** Of the errors that a status may be, the document names each by its code. */
function unnamed({ examples }: MediaType, status: number, body: unknown): string | undefined {
  if (status < 400 || !examples) return undefined
  const { code } = body as { code: string }
  return code in examples ? undefined : `${status} is ${code}, not ${Object.keys(examples).join(' or ')}`
}

function read(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
