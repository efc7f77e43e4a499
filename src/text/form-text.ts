import { isUtf8 } from 'node:buffer'
import { type ParsedUrlQuery, parse } from 'node:querystring'

/**
 * Replaces text whose bytes are not UTF-8. Decoding them to U+FFFD would make different passwords equal. A lone surrogate
 * can't come from valid UTF-8, and validation refuses it at its field.
 */
export const NO_TEXT = '\ud800'

/**
 * Parses a query or a form (WHATWG URL, application/x-www-form-urlencoded).
 *
 * @param text one character per byte (latin1)
 */
export const parseFormText = (text: string): ParsedUrlQuery => parse(text, '&', '=', decoding)

/** `+` comes as `%20`. */
const decoding = { decodeURIComponent: decode }

function decode(text: string): string {
  const bytes = unescaped(Buffer.from(text, 'latin1'))
  return isUtf8(bytes) ? bytes.toString('utf8') : NO_TEXT
}

const PERCENT = 0x25

/** Decodes in place. A percent sign without two hex digits is literal. */
function unescaped(bytes: Buffer): Buffer {
  let length = 0
  for (let at = 0; at < bytes.length; at++) {
    const isEscape = bytes[at] === PERCENT && isDigit(bytes[at + 1]) && isDigit(bytes[at + 2])
    bytes[length++] = isEscape ? digit(bytes[++at]!) * 16 + digit(bytes[++at]!) : bytes[at]!
  }
  return bytes.subarray(0, length)
}

const isDigit = (code = 0) =>
  (code >= 0x30 && code <= 0x39) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66)

/** Value of a hex digit. */
const digit = (code: number) => (code <= 0x39 ? code - 0x30 : (code | 0x20) - 0x61 + 10)
