import type { Document, Json, Operation } from './document.ts'
import { resolved } from './samples.ts'

/** The body that Swagger UI fills in for an operation, to be sent as it is. */
export function filledIn(document: Document, { requestBody }: Operation): Json {
  const [mediaType = '', media] = Object.entries(requestBody?.content ?? {})[0] ?? []
  const { examples, properties = {} } = resolved(document, media?.schema ?? {})
  const [example] = (examples as Json[] | undefined) ?? []
  const isForm = mediaType.includes('form')

  const fieldsOf = (properties: Record<string, Json>): Json =>
    Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, valueOf(schema, isForm)]))
  /** A list of objects has one, as in the example of its kind. */
  const filled = (schema: Json): unknown => {
    const { properties: own } = resolved(document, (schema.items ?? {}) as Json)
    return own ? [fieldsOf(own as Record<string, Json>)] : valueOf(schema, isForm)
  }
  return (
    example ??
    Object.fromEntries(
      Object.entries(properties as Record<string, Json>).map(([name, schema]) => [name, filled(schema)]),
    )
  )
}

/** Fields of forms without an example are left empty. */
function valueOf(
  { examples, default: fallback, enum: values, items, type, ...others }: Json,
  isForm: boolean,
): unknown {
  const [example = fallback ?? (values as unknown[] | undefined)?.[0]] = (examples ?? []) as unknown[]
  if (example !== undefined) return example
  if (isForm) return ''
  if (items !== undefined) return [valueOf(items as Json, isForm)]
  return (
    VALUES[String([type].flat()[0])] ??
    FORMATS[String(others.format)] ??
    'string'.slice(0, others.maxLength as number | undefined)
  )
}

const VALUES: Json = { boolean: true, integer: 0, number: 0, undefined: {} }
const FORMATS: Json = {
  uuid: '3fa85f64-5717-4562-b3fc-2c963f66afa6',
  'date-time': '2026-11-23T10:15:00.000Z',
  date: '2026-11-23',
}
