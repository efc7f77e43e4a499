import { randomUUID } from 'node:crypto'
import { SUPERUSERS_ONLY } from '../../src/contract/document.ts'
import { type Described, type Document, type Json, type Operation, operationsOf } from './document.ts'
import { address } from './service.ts'

const REF = '#/components/schemas/'

/** What a reference of the document leads to; anything else as it is. */
export const resolved = ({ components }: Pick<Document, 'components'>, schema: Json): Json =>
  typeof schema.$ref === 'string' ? (components.schemas[schema.$ref.replace(REF, '')] ?? {}) : schema

/**
 * A value that fits a schema of the document: its example, its default, or the plainest of its type. Addresses are
 * ones that nobody has.
 */
export function sampleOf(document: Document, schema: Json): unknown {
  const {
    type,
    format,
    examples,
    default: fallback,
    properties,
    minimum = 1,
    ...others
  } = resolved(document, schema)
  if (format === 'email') return address()
  if (format === 'uuid' && type === 'string') return randomUUID()
  if (Array.isArray(examples)) return examples[0] as unknown
  if (fallback !== undefined) return fallback
  if ('const' in others) return others.const
  if (Array.isArray(others.enum)) return others.enum[0] as unknown
  if (Array.isArray(others.anyOf)) return sampleOf(document, others.anyOf[0] as Json)
  if (typeof type === 'string' && typeof format === 'string' && TIMES[format]) return TIMES[format]
  if (properties) {
    const entries = Object.entries(properties as Record<string, Json>)
    return Object.fromEntries(entries.map(([name, property]) => [name, sampleOf(document, property)]))
  }
  if (type === 'boolean') return true
  if (type === 'integer' || type === 'number') return minimum
  if (type === 'array') return Number(others.minItems) > 0 ? [sampleOf(document, others.items as Json)] : []
  return Array.isArray(type) ? null : 'text'
}

const TIMES: Record<string, string> = {
  date: '2026-01-02',
  time: '03:04:05Z',
  'date-time': '2026-01-02T03:04:05Z',
}

export interface Sample {
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

/** Creates a row by that operation. @returns its id */
export type MakeRow = (maker: Described, sample: Sample) => Promise<string>

/**
 * The same, where the body refers to rows of other resources: these are made first, and what they refer to before them.
 * `project_id`, `projectId` and `from_project_id` refer to what `POST …/projects/` makes.
 */
export async function requestWithRows(
  document: Document,
  operation: Operation,
  make: MakeRow,
  under: readonly Described[] = [],
): Promise<Sample> {
  const sample = requestOf(document, operation)
  const { schema = {} } = Object.values(operation.requestBody?.content ?? {})[0] ?? {}
  async function fill(schema: Json, body: Record<string, unknown>) {
    const { properties = {} } = resolved(document, schema) as { properties?: Record<string, Json> }
    for (const [name, property] of Object.entries(properties)) {
      // Of many at once, each has its own.
      const elements = Array.isArray(body[name]) ? (body[name] as Record<string, unknown>[]) : []
      for (const element of elements) await fill(property.items as Json, element)
      const maker = refersToRow(resolved(document, property)) ? makerOf(document, name) : undefined
      // A row that refers to one of its own kind can't need it, or there would be no first one.
      if (!maker || under.some(({ path }) => path === maker.path)) continue
      const row = await requestWithRows(document, maker.operation, make, [...under, maker])
      body[name] = await make(maker, row)
    }
  }
  if (sample.body) await fill(schema, sample.body)
  return sample
}

const refersToRow = ({ format, type }: Json) => format === 'uuid' && type === 'string'

function makerOf(document: Document, field: string): Described | undefined {
  const words = field
    .replaceAll(/(?<=[a-z\d])[A-Z]/g, '_$&')
    .toLowerCase()
    .split('_')
  if (words.pop() !== 'id') return undefined
  // The whole name first: `bank_account_id` is none of `accounts` where there are `bank_accounts`.
  const names = words.map((_, from) => words.slice(from).join('_'))
  for (const one of names) {
    const maker = makerOfOne(document, one)
    if (maker) return maker
  }
  return undefined
}

function makerOfOne(document: Document, one: string): Described | undefined {
  const names = new Set([one, `${one}s`, `${one}es`, one.replace(/y$/, 'ies')])
  return operationsOf(document).find(
    ({ method, path, operation }) =>
      method === 'POST' &&
      names.has(/([\w-]+)\/?$/.exec(path)?.[1]?.replaceAll('-', '_') ?? '') &&
      !operation.description?.startsWith(SUPERUSERS_ONLY),
  )
}
