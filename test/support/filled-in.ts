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
  /** A list has one element, as in the example of its kind. */
  const filled = (schema: Json): unknown =>
    schema.type === 'array'
      ? [fieldsOf(resolved(document, schema.items as Json).properties as Record<string, Json>)]
      : valueOf(schema, isForm)
  return (
    example ??
    Object.fromEntries(
      Object.entries(properties as Record<string, Json>).map(([name, schema]) => [name, filled(schema)]),
    )
  )
}

/** Fields of forms without an example are left empty. */
const valueOf = ({ examples, default: fallback, type }: Json, isForm: boolean) =>
  (examples as unknown[] | undefined)?.[0] ?? fallback ?? (isForm ? '' : type === 'boolean' ? true : 'string')
