import { randomUUID } from 'node:crypto'
import type { Json } from './document.ts'

/** Values for the field of a body, from its schema in the document: some that fit, at their bounds, and some that don't. */
export interface FieldValues {
  readonly good: readonly unknown[]
  readonly bad: readonly unknown[]
}

export function fieldValues(schema: Json): FieldValues {
  const types = [schema.type].flat() as (string | undefined)[]
  const { good, bad } = ofType(types[0], schema)
  const example = Array.isArray(schema.examples) ? (schema.examples as unknown[]) : []
  const isNullable = types.includes('null')
  return {
    good: [...example, ...good, ...(isNullable ? [null] : [])],
    bad: [...bad, ...(isNullable ? [] : [null])],
  }
}

function ofType(type: string | undefined, schema: Json): FieldValues {
  if (Array.isArray(schema.enum))
    return { good: schema.enum.filter((value) => value !== null), bad: ['none of these', 5] }
  if (type === 'string') return ofText(schema)
  if (type === 'boolean') return { good: [true, false], bad: ['true', 1] }
  if (type === 'integer') {
    const { minimum, maximum } = schema as { minimum: number; maximum: number }
    return { good: [minimum, maximum], bad: [minimum - 1, maximum + 1, '1', 1.5] }
  }
  if (type === 'array') {
    const { good, bad } = fieldValues(schema.items as Json)
    const most = Number(schema.maxItems)
    const full = (many: number) => Array.from({ length: many }, () => good[0])
    return { good: [[], good, full(most)], bad: [full(most + 1), [bad[0]], 'no list'] }
  }
  // JSON of any kind.
  return { good: [], bad: [] }
}

/** How each format is written, in ascending order. */
const FORMATS: Readonly<Record<string, FieldValues>> = {
  date: { good: ['0001-01-01', '2024-02-29', '9999-12-31'], bad: ['2025-02-29', '1.1.2025', '', 5] },
  'date-time': {
    good: ['2024-02-29T23:59:59.999Z', '2026-01-02T03:04:05.678Z'],
    bad: ['2026-01-02', '2026-02-30T00:00:00Z', '2026-01-02T03:04:05', ''],
  },
  uuid: { good: ['00000000-0000-4000-8000-000000000001'], bad: ['5', ''] },
  email: { good: ['ada@example.com'], bad: ['ada', 'ada@', ''] },
  uri: {
    good: ['https://example.com/a?b=c', 'http://localhost:8000/'],
    bad: ['javascript:alert(1)', 'x', ''],
  },
}

function ofText(schema: Json): FieldValues {
  const { format, maxLength, minLength, pattern } = schema as Record<string, string | number | undefined>
  if (typeof format === 'string') {
    // No row has it: who refers to rows makes them.
    if (format === 'uuid') return { good: [randomUUID()], bad: FORMATS.uuid!.bad }
    return FORMATS[format] ?? { good: [], bad: [] }
  }
  if (typeof pattern === 'string') return { good: [], bad: ['x', '', '1e5', '1.', 5] }
  const [least, most] = [Number(minLength ?? 0), Number(maxLength)]
  return {
    good: [
      '🦊'.repeat(most),
      'a'.repeat(Math.max(1, least)),
      ` "quoted", {braced} \\ 'it' %_ `.slice(0, most),
    ],
    bad: ['🦊'.repeat(most + 1), ...(least > 0 ? ['a'.repeat(least - 1)] : []), 5, ['a'], 'a\0b'],
  }
}
