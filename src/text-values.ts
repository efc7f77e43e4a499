import type { TSchema } from '@sinclair/typebox'

/**
 * Values that arrive as text (query, path, environment) read as the type that their schema names, strictly:
 * what is not written like one stays text, and is refused by validation. (Ajv's own coercion would take
 * "0x10" and " 5" for numbers.)
 */
export function readText(schema: TSchema, text: unknown): unknown {
  if (typeof text !== 'string') return text
  if (schema.type === 'integer' && /^[+-]?\d{1,16}$/.test(text)) return Number(text)
  if (schema.type === 'boolean') return BOOLEANS.get(text.toLowerCase()) ?? text
  return text
}

const BOOLEANS = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
])
