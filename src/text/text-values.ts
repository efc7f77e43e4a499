import type { TSchema } from '@sinclair/typebox'

/**
 * Converts text values (query, path, environment) to the type of their schema, strictly: anything else stays text and is
 * refused by validation. (Ajv's own coercion takes "0x10" and " 5" for numbers.)
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

/** Parses a comma-separated or JSON list. */
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

/** Removes slashes at the end of a URL. (`/\/+$/` would restart at every slash.) */
export function withoutLastSlashes(url: string): string {
  let end = url.length
  while (url[end - 1] === '/') end -= 1
  return url.slice(0, end)
}

/** The path of a URL without a last slash; empty if there is none. Never begins with //, which would name a host. */
export function pathOf(url: string | undefined): string {
  if (url === undefined || !URL.canParse(url)) return ''
  return withoutLastSlashes(new URL(url).pathname).replace(/^\/+/, '/')
}

/** The origin of a URL, as browsers send it; undefined if it has none. */
export function originOf(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined
  const { origin } = new URL(url)
  return origin === 'null' ? undefined : origin
}

/** Schemes without an origin. Others than http may have one (apps, extensions). */
const NO_ORIGIN = /^(?:javascript|data|blob|file|about|filesystem|wss?|ftp|mailto|null)$/

/**
 * Parses a configured origin into the form that browsers send (RFC 6454, 6.2): scheme, host and port. A last slash is
 * allowed, and origins of apps (`capacitor://localhost`) are; undefined for what no browser sends.
 */
export function readOrigin(text: string): string | undefined {
  const [, scheme = '', host = ''] = /^([a-z][a-z\d+.-]*):\/\/([\w.:[\]-]+)\/?$/i.exec(text) ?? []
  if (host === '' || NO_ORIGIN.test(scheme.toLowerCase())) return undefined
  if (/^https?$/i.test(scheme)) return originOf(text)
  return host.endsWith(':') ? undefined : `${scheme.toLowerCase()}://${host}`
}

export function isLoopbackUrl(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { hostname } = new URL(url)
  return /(?:^|\.)localhost$/.test(hostname) || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}
