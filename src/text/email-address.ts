import { domainToASCII, domainToUnicode } from 'node:url'

/**
 * Whether a text is one email address that a mail can be sent to, as `readEmail` gives it: a dot-string of RFC 5321 or
 * 6531 and a domain of two labels or more, in its ASCII form. Quoted local parts, comments, groups, lists and address
 * literals are not taken: some mail programs read them as something else than one recipient. Nor are characters that
 * look like, or are folded to, what separates addresses.
 */
export const isEmail = (text: string): boolean => text.indexOf('@') <= LOCAL_LENGTH && isKnownEmail(text)

/** The same, and longer before its @: rows that came from another system may have such an address. */
export const isKnownEmail = (text: string): boolean => {
  if (text.length > LONGEST || !ADDRESS.test(text)) return false
  const local = text.slice(0, text.indexOf('@'))
  return ASCII.test(local) || (!UNSAFE.test(local) && ADDRESS.test(`${local.normalize('NFKC')}@example.com`))
}

/** RFC 5321, 4.5.3.1.1 */
const LOCAL_LENGTH = 64

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\u{80}-\\u{10FFFF}-]+"
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
const ADDRESS = new RegExp(`^${ATOM}(?:\\.${ATOM})*@${LABEL}(?:\\.${LABEL})+$`, 'u')
const ASCII = /^[!-~]*$/
/** What python-email-validator, and so the FastAPI template, refuses in a local part, and letters that nobody sees. */
const UNSAFE = /^\p{M}|[\p{Z}\p{C}\p{Default_Ignorable_Code_Point}]/u

/** Longer than any address. */
const LONGEST = 1000

/**
 * An address as it is stored and compared: without the white space around it, which phone keyboards add, and in normal
 * form (NFC), its domain in ASCII where it was given in Unicode. Letters beyond ASCII are small ones: which of them a
 * database takes for one depends on its locale, which folds none ("C"), or makes "i" of "İ" (glibc). What is no address
 * stays as it is.
 */
export function readEmail(text: string): string {
  const email = withoutSpaceAround(text)
  if (email.length > LONGEST || ASCII.test(email)) return email
  const at = email.lastIndexOf('@')
  if (at < 0) return email
  return `${withSmallLetters(email.slice(0, at))}@${asciiDomain(email.slice(at + 1))}`
}

const withSmallLetters = (local: string) =>
  local
    .normalize('NFC')
    .replaceAll(/[^\0-\x7F]/gu, (letter) => letter.toLowerCase())
    .normalize('NFC')
    .replaceAll('ς', 'σ')
    .replaceAll(FINAL_SIGMA, 'ς')

/** Two lower-case forms of one letter: ς is written at the end of a word. */
const FINAL_SIGMA = /(?<=[\p{L}\p{M}])σ(?![\p{L}\p{M}])/gu

/** Characters that a URL parser would decode or cut off in a host name. */
const NO_DOMAIN = /[^A-Za-z0-9.\u{80}-\u{10FFFF}-]/u
/** It would leave them out. Joiners mean something in some scripts, and are refused in others. */
const UNSEEN = /(?![\u200C\u200D])[\p{Z}\p{C}\p{Default_Ignorable_Code_Point}]/u

const asciiDomain = (domain: string) =>
  ASCII.test(domain) || NO_DOMAIN.test(domain) || UNSEEN.test(domain)
    ? domain
    : domainToASCII(domain) || domain

/** An address to send to: its domain in ASCII, whatever row it comes from. */
export function envelopeForm(email: string): string {
  const at = email.lastIndexOf('@')
  return `${email.slice(0, at)}@${asciiDomain(email.slice(at + 1))}`
}

/**
 * Whether two addresses are one as every database sees it, as letters beyond ASCII are small ones in both; in rows that
 * other programs made, it depends on the database's locale whether it folds them.
 */
export const isSameEmail = (one: string, other: string) => foldCase(one) === foldCase(other)

const foldCase = (text: string) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())

/**
 * The address with its domain in Unicode, as the FastAPI template stored it; undefined where that is the same, or what is
 * given is longer than any address: to read a domain takes the square of its length.
 */
export function unicodeForm(email: string): string | undefined {
  if (email.length > LONGEST) return undefined
  const at = email.lastIndexOf('@')
  const domain = email.slice(at + 1)
  if (!/(?:^|\.)xn--/i.test(domain)) return undefined
  return `${email.slice(0, at)}@${domainToUnicode(domain)}`
}

/** A link that opens a mail to an address. Its characters are escaped where they would end the address (RFC 6068, 2). */
export const mailtoOf = (email: string) => `mailto:${encodeURIComponent(email).replaceAll('%40', '@')}`

/** `trim` does not remove zero-width characters. */
const ZERO_WIDTH = new Set(['\u200B', '\u200C', '\u200D', '\u200E', '\u200F', '\u2060', '\u180E'])

function withoutSpaceAround(text: string): string {
  let cut = text.trim()
  while (ZERO_WIDTH.has(cut.charAt(0)) || ZERO_WIDTH.has(cut.charAt(cut.length - 1))) {
    let [start, end] = [0, cut.length]
    while (start < end && ZERO_WIDTH.has(cut.charAt(start))) start += 1
    while (end > start && ZERO_WIDTH.has(cut.charAt(end - 1))) end -= 1
    if (end - start > LONGEST) return cut
    cut = cut.slice(start, end).trim()
  }
  return cut
}
