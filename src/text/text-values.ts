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

/** A URL without slashes at its end. (`/\/+$/` would start again at every slash.) */
export function withoutLastSlashes(url: string): string {
  let end = url.length
  while (url[end - 1] === '/') end -= 1
  return url.slice(0, end)
}

/** The path of a URL without a last slash; empty where there is none. It never begins with //, which names a host. */
export function pathOf(url: string | undefined): string {
  if (url === undefined || !URL.canParse(url)) return ''
  return withoutLastSlashes(new URL(url).pathname).replace(/^\/+/, '/')
}

/** The origin of a URL, as browsers send it; undefined where there is none. */
export function originOf(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined
  const { origin } = new URL(url)
  return origin === 'null' ? undefined : origin
}

/** Where a browser may be served from without a URL of HTTP: apps, extensions. Of these others there is no origin. */
const NO_ORIGIN = /^(?:javascript|data|blob|file|about|filesystem|wss?|ftp|mailto|null)$/

/**
 * An origin as it was written down, as browsers send it (RFC 6454, 6.2): scheme, host and port, and a last slash at most.
 * Those of apps (`capacitor://localhost`) too; undefined for what no browser ever sends.
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
