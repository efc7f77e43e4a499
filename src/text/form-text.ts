import { isUtf8 } from 'node:buffer'
import { type ParsedUrlQuery, parse } from 'node:querystring'

/**
 * In place of text that came as bytes that are no UTF-8. Decoders put U+FFFD for such bytes, so that different passwords
 * would become the same one; a lone surrogate can't come over the wire, and validation refuses it at its field.
 */
export const NO_TEXT = '\ud800'

/**
 * A query, or a form (WHATWG URL, application/x-www-form-urlencoded).
 *
 * @param text a character for each byte (latin1)
 */
export const parseFormText = (text: string): ParsedUrlQuery => parse(text, '&', '=', decoding)

/** `+` comes as `%20`. */
const decoding = { decodeURIComponent: decode }

function decode(text: string): string {
  const bytes = unescaped(Buffer.from(text, 'latin1'))
  return isUtf8(bytes) ? bytes.toString('utf8') : NO_TEXT
}

const PERCENT = 0x25

/** In place. A percent sign without two digits stands for itself. */
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

/** Of a hexadecimal one. */
const digit = (code: number) => (code <= 0x39 ? code - 0x30 : (code | 0x20) - 0x61 + 10)
