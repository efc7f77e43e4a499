import type { TSchema } from '@sinclair/typebox'

/**
 * Converts text values (query, path, environment) to the type of their schema, strictly: anything else stays text and is
 * refused by validation. (Ajv's own coercion takes "0x10" and " 5" for numbers.)
 */
export function readText(schema: TSchema, text: unknown): unknown {
  // One value of a list, or several with the same name.
  if (schema.type === 'array') return [text].flat().map((one) => readText(schema.items as TSchema, one))
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

/** Not URL.canParse: once optimized, that of Node 20 is false for a text with `ü` (all of Latin-1, and not ASCII). */
export function urlOf(text: string | undefined): URL | undefined {
  try {
    return new URL(text ?? '')
  } catch {
    return undefined
  }
}

/** The path of a URL without a last slash; empty if there is none. Never begins with //, which would name a host. */
export function pathOf(url: string | undefined): string {
  return withoutLastSlashes(urlOf(url)?.pathname ?? '').replace(/^\/+/, '/')
}

/** The origin of a URL, as browsers send it; undefined if it has none. */
export function originOf(url: string | undefined): string | undefined {
  const origin = urlOf(url)?.origin
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
  const hostname = urlOf(url)?.hostname ?? ''
  return /(?:^|\.)localhost$/.test(hostname) || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}
