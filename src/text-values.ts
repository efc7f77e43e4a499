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

/** A comma-separated or JSON list. */
export function readList(text: string | undefined): string[] {
  if (text === undefined) return []
  const parts: unknown[] = text.startsWith('[') ? jsonList(text) : text.split(',')
  return parts.map((part) => String(part).trim()).filter((part) => part !== '')
}

function jsonList(text: string): unknown[] {
  try {
    const parsed: unknown = JSON.parse(text)
    return Array.isArray(parsed) ? parsed : [text]
  } catch {
    return [text]
  }
}

/** The origin of a URL, as browsers send it; undefined where there is none. */
export function originOf(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined
  const { origin } = new URL(url)
  return origin === 'null' ? undefined : origin
}
