import { address } from './service.ts'
import type { Document, Json, Operation } from './document.ts'

const REF = '#/components/schemas/'

/** What a reference of the document leads to; anything else as it is. */
export const resolved = ({ components }: Pick<Document, 'components'>, schema: Json): Json =>
  typeof schema.$ref === 'string' ? (components.schemas[schema.$ref.replace(REF, '')] ?? {}) : schema

/**
 * A value that fits a schema of the document: its example, its default, or the plainest of its type. Addresses are
 * ones that nobody has.
 */
export function sampleOf(document: Document, schema: Json): unknown {
  const { type, format, examples, default: fallback, properties, minimum = 1 } = resolved(document, schema)
  if (format === 'email') return address()
  if (Array.isArray(examples)) return examples[0] as unknown
  if (fallback !== undefined) return fallback
  if (properties) {
    const entries = Object.entries(properties as Record<string, Json>)
    return Object.fromEntries(entries.map(([name, property]) => [name, sampleOf(document, property)]))
  }
  if (type === 'boolean') return true
  if (type === 'integer') return minimum
  if (type === 'array') return []
  return Array.isArray(type) ? null : 'text'
}

interface Sample {
  readonly search: string
  readonly body?: Record<string, unknown>
  readonly form?: Record<string, string>
}

/** What an operation is sent, right in every part but for the path. */
export function requestOf(document: Document, { requestBody, parameters = [] }: Operation): Sample {
  const needed = parameters.filter((parameter) => parameter.in === 'query' && parameter.required)
  const query = new URLSearchParams(
    needed.map(({ name, schema }): [string, string] => [name, String(sampleOf(document, schema))]),
  )
  const [mediaType, media] = Object.entries(requestBody?.content ?? {})[0] ?? []
  const body = media && (sampleOf(document, media.schema) as Record<string, unknown>)
  return {
    search: query.size > 0 ? `?${query.toString()}` : '',
    ...(body && (mediaType?.includes('form') ? { form: formOf(body) } : { body })),
  }
}

const formOf = (fields: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)) as Record<string, string>
