/**
 * Masks secrets in log lines and in reports to Sentry: fields by name, texts by pattern. Work is linear and bounded.
 * pino's `redact` masks paths known beforehand; secrets are also in messages of libraries, and in fields of any depth.
 */

export const REDACTED = '[redacted]'

/** Limits: nesting, fields per line, characters per text. The rest is left out. */
const DEEPEST = 8
const MOST_FIELDS = 200
const LONGEST_TEXT = 2_000
const LONGEST_NAME = 64

/** Compared in lower case, without `-`, `_` and other separators. */
const SECRET_NAME = new RegExp(
  [
    'passw|passphrase|passcode|pwd|secret|token|authorization|bearer|cookie|credential|signature|jwt',
    'mail|username|fullname|recipient|hashed|databaseurl|dsn|link',
    '(api|private|access|signing|encryption|decryption|master|shared|session|hmac|auth|account|service)key',
    '(auth|access|recovery|backup|verification|onetime|login)code',
    '^(pass|auth|hash|login|otp|totp|pin|to|cc|bcc|phone|address|addresses|basic)$',
  ].join('|'),
)
/** Names that match but hold row ids or message names. */
const PLAIN_NAME = /^(onetime)?(token|session|user|mail|email|link|recipient)ids?$|^mail$/

const known = new Map<string, boolean>()
const MOST_KNOWN = 1_000

/** Whether a field of this name is always masked. */
export function isSecretName(name: string): boolean {
  const found = known.get(name)
  if (found !== undefined) return found
  const plain = name
    .slice(0, LONGEST_NAME)
    .toLowerCase()
    .replaceAll(/[^a-z]/g, '')
  const isSecret = name.length > LONGEST_NAME || (SECRET_NAME.test(plain) && !PLAIN_NAME.test(plain))
  if (known.size < MOST_KNOWN && name.length <= LONGEST_NAME) known.set(name, isSecret)
  return isSecret
}

/** Characters that a text must contain to be worth a closer look. */
const SUSPECT = /[@?:=$%"']|--\w|[\w+-]{20}|bearer|basic/i
/** An unclosed quote ends with its line, so that nothing is scanned twice. */
const WORD = /"(?:[^"\\\n]|\\[^\n])*"?|(?<!\w)'(?:[^'\\\n]|\\[^\n])*'?|[^\s"'<>(),;]+/g

/** Stored hashes of passwords, with the commas of their parameters. */
const HASHES = /(?:\$(?:argon2|2[aby]\$|[56]\$|fbscrypt\$|scrypt\$|pbkdf2|hex-)|pbkdf2_sha)[^\s"'<>();]*/g

/** Masks addresses, hashes, tokens, query strings, credentials in URLs, and values of secret names. */
export function maskedText(text: string): string {
  const start = cut(text)
  return SUSPECT.test(start) ? maskedWords(start.replaceAll(HASHES, REDACTED)) : start
}

/** Cuts between words, so that no part of a secret remains. */
function cut(text: string): string {
  if (text.length <= LONGEST_TEXT) return text
  const start = text.slice(0, LONGEST_TEXT)
  return `${start.slice(0, start.lastIndexOf(' ') + 1)}…`
}

function maskedWords(text: string): string {
  let before: Announced = 'nothing'
  let name = ''
  let goesOn: 'no' | 'without a space' | 'to the end of the line' = 'no'
  let end = 0
  return text.replaceAll(WORD, (word, at: number) => {
    const gap = text.slice(end, at)
    end = at + word.length
    const isQuoted = word.startsWith('"') || word.startsWith("'")
    if (goesOn === 'to the end of the line' ? gap.includes('\n') : /\s/.test(gap) || (gap !== '' && isQuoted))
      goesOn = 'no'
    if (goesOn !== 'no') return ''
    const isValue = before === 'value' && !IS_BETWEEN.test(word)
    const isJoined = before !== 'nothing' && /^[:=]./.test(word)
    const own = isQuoted ? undefined : secretNameIn(word)
    if (!isQuoted && (isValue || isJoined || own !== undefined))
      goesOn = IS_WHOLE_LINE.test(own ?? name) ? 'to the end of the line' : 'without a space'
    before = announced(word, before)
    if (before !== 'nothing' && !IS_BETWEEN.test(word)) name = word
    if (isValue || isJoined) return REDACTED
    return isQuoted ? maskedQuote(word) : maskedWord(word)
  })
}

/** Text within quotes, with one level of backslashes removed: their number is halved, so that work stays linear. */
function maskedQuote(word: string): string {
  const [quote = ''] = word
  const within = word.slice(1, word.length > 1 && word.endsWith(quote) ? -1 : undefined)
  const plain = within.replaceAll(/\\(["'\\])/g, '$1')
  const masked = maskedWords(plain)
  return masked === plain ? word : quote + masked + quote
}

/**
 * What a word says about the next one: after `password` may come `:` and a secret; after `password:`, `--password` and
 * `Bearer` comes one.
 */
type Announced = 'nothing' | 'name' | 'value'

const IS_BETWEEN = /^[:=]$/
/** Headers whose values have several words: `Authorization: Token …`, `Cookie: a=b; c=d`. */
const IS_WHOLE_LINE = /authorization|cookie/i

function announced(word: string, before: Announced): Announced {
  if (IS_BETWEEN.test(word)) return before === 'nothing' ? 'nothing' : 'value'
  const name = word.replaceAll(/["':=]/g, '')
  if (!isSecretName(name)) return 'nothing'
  return /[:=]$|^--/.test(word) || /^(bearer|basic)$/i.test(name) ? 'value' : 'name'
}

/** The name before the first `=` or `:` of a word, if it is a secret's name and the value follows. */
function secretNameIn(word: string): string | undefined {
  const at = word.search(/[=:]/)
  const name = word.slice(word.lastIndexOf('/', at) + 1, Math.max(at, 0))
  return at < word.length - 1 && isSecretName(name) ? name : undefined
}

const ADDRESS = /[^/]@|%40/i
const RUN = /[\w+-]{20,}/g
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i

function maskedWord(word: string): string {
  if (word.includes('://')) return maskedUrl(word)
  if (ADDRESS.test(word)) return '[address]'
  const query = word.search(/[?#&]/)
  if (query >= 0 && word.includes('=')) return `${maskedWord(word.slice(0, query))}?${REDACTED}`
  if (secretNameIn(word) !== undefined) return word.slice(0, word.search(/[=:]/) + 1) + REDACTED
  return word.replaceAll(RUN, (run) => (looksRandom(run) ? REDACTED : run))
}

/** True for tokens, keys and hashes; false for names in code and ids of rows. */
const looksRandom = (run: string) =>
  !UUID.test(run) && (/\d/.test(run) || (run.length >= 32 && /[a-z]/.test(run) && /[A-Z]/.test(run)))

/** A URL without credentials, query and fragment. */
function maskedUrl(text: string): string {
  try {
    const { protocol, host, pathname } = new URL(text)
    return `${protocol}//${host}${pathname.length > 1 ? '/…' : ''}`
  } catch {
    return REDACTED
  }
}

/** Budget of a line. */
interface Budget {
  fields: number
}

/** Masks the fields of a line at any depth, except the top-level ones in `serialized`. */
export function maskedFields(
  fields: Record<string, unknown>,
  serialized: ReadonlySet<string>,
  describeError: (error: Error) => unknown,
): Record<string, unknown> {
  const budget: Budget = { fields: MOST_FIELDS }
  return maskedObject(fields, DEEPEST)

  function maskedObject(object: Record<string, unknown>, depth: number): Record<string, unknown> {
    const masked: Record<string, unknown> = {}
    for (const name in object) {
      if (budget.fields-- <= 0) return { ...masked, more: TOO_MUCH }
      if (depth === DEEPEST && serialized.has(name)) masked[name] = object[name]
      else
        masked[name.length > LONGEST_NAME ? REDACTED : maskedText(name)] = isSecretName(name)
          ? REDACTED
          : maskedValue(object[name], depth - 1)
    }
    return masked
  }

  function maskedList(list: readonly unknown[], depth: number): unknown[] {
    const masked: unknown[] = []
    for (const one of list) {
      if (budget.fields-- <= 0) return [...masked, TOO_MUCH]
      masked.push(maskedValue(one, depth - 1))
    }
    return masked
  }

  function maskedValue(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return maskedText(value)
    if (typeof value !== 'object' || value === null || value instanceof Date) return value
    if (value instanceof Error) return describeError(value)
    if (!Array.isArray(value) && !isPlain(value)) return `[${value.constructor.name}]`
    if (depth <= 0) return TOO_DEEP
    return Array.isArray(value) ? maskedList(value, depth) : maskedObject(value, depth)
  }
}

const TOO_DEEP = '[too deep]'
const TOO_MUCH = '[too much]'

/** Parameters and queries have no prototype. Of other objects only the class is logged. */
function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
