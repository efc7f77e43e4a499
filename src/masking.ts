/**
 * Keeps secrets out of what is told of the service: log lines, reports to Sentry. Fields are masked by their names and
 * texts by what they look like. The work is linear and bounded, whatever is logged.
 */

export const REDACTED = '[redacted]'

/** Levels of nesting, fields of one line, and characters of one text; what is beyond is left out. */
const DEEPEST = 8
const MOST_FIELDS = 200
const LONGEST_TEXT = 2_000
const LONGEST_NAME = 64

/** Names are compared in lower case, without `-`, `_` and the like. */
const SECRET_NAME = new RegExp(
  [
    'passw|passphrase|passcode|pwd|secret|token|authorization|bearer|cookie|credential|signature|jwt',
    'mail|username|fullname|recipient|apikey|privatekey|hashed|databaseurl|dsn|link',
    '^(pass|auth|hash|login|otp|totp|pin|to|cc|bcc|phone|address|addresses|basic)$',
  ].join('|'),
)
/** Ids of rows, and names of messages: no secrets. */
const PLAIN_NAME = /^(onetime)?(token|session|user|mail|email|link|recipient)ids?$|^mail$/

const known = new Map<string, boolean>()
const MOST_KNOWN = 1_000

/** Whether a field of this name is masked, whatever is in it. */
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

/** What only texts have that are worth a closer look. */
const SUSPECT = /[@?:=$%"']|[\w+-]{20}|bearer|basic/i
const WORD = /"[^"\n]*"|(?<!\w)'[^'\n]*'|[^\s"'<>(),;]+/g

/** A text without addresses, tokens, query strings, credentials of URLs, and values of secret names. */
export function maskedText(text: string): string {
  const start = cut(text)
  return SUSPECT.test(start) ? maskedWords(start) : start
}

/** Between words, so that no secret is told in part. */
function cut(text: string): string {
  if (text.length <= LONGEST_TEXT) return text
  const start = text.slice(0, LONGEST_TEXT)
  return `${start.slice(0, start.lastIndexOf(' ') + 1)}…`
}

function maskedWords(text: string): string {
  let before: Announced = 'nothing'
  return text.replaceAll(WORD, (word) => {
    const isValue = before === 'value' && !IS_BETWEEN.test(word)
    const isJoined = before !== 'nothing' && /^[:=]./.test(word)
    before = announced(word, before)
    if (isValue || isJoined) return REDACTED
    const [quote = ''] = word
    if (quote !== '"' && quote !== "'") return maskedWord(word)
    return word.length > 2 ? quote + maskedWords(word.slice(1, -1)) + quote : word
  })
}

/** What a word says of the next one: `password` may be followed by `:` and a secret, `password:` and `Bearer` are by one. */
type Announced = 'nothing' | 'name' | 'value'

const IS_BETWEEN = /^[:=]$/

function announced(word: string, before: Announced): Announced {
  if (IS_BETWEEN.test(word)) return before === 'nothing' ? 'nothing' : 'value'
  const name = word.replaceAll(/["':=]/g, '')
  if (!isSecretName(name)) return 'nothing'
  return /[:=]$/.test(word) || /^(bearer|basic)$/i.test(name) ? 'value' : 'name'
}

const ADDRESS = /[^/]@|%40/i
const HASH = /\$argon2|\$2[aby]\$/
const RUN = /[\w+-]{20,}/g
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i

function maskedWord(word: string): string {
  if (word.includes('://')) return maskedUrl(word)
  if (ADDRESS.test(word)) return '[address]'
  if (HASH.test(word)) return REDACTED
  const query = word.search(/[?#&]/)
  if (query >= 0 && word.includes('=')) return `${maskedWord(word.slice(0, query))}?${REDACTED}`
  const at = word.search(/[=:]/)
  const name = word.slice(word.lastIndexOf('/', at) + 1, Math.max(at, 0))
  if (at < word.length - 1 && isSecretName(name)) return word.slice(0, at + 1) + REDACTED
  return word.replaceAll(RUN, (run) => (looksRandom(run) ? REDACTED : run))
}

/** Tokens, keys and hashes do; names of code and ids of rows do not. */
const looksRandom = (run: string) =>
  !UUID.test(run) && (/\d/.test(run) || (run.length >= 32 && /[a-z]/.test(run) && /[A-Z]/.test(run)))

/** Where it leads, and nothing of what it says there. */
function maskedUrl(text: string): string {
  try {
    const { protocol, host, pathname } = new URL(text)
    return `${protocol}//${host}${pathname.length > 1 ? '/…' : ''}`
  } catch {
    return REDACTED
  }
}

/** What a line may still tell of. */
interface Budget {
  fields: number
}

/** The fields of a line, masked however deep they stand; those of these names are told by their serializers. */
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

/** Parameters and queries have no prototype. Of what is not plain, only its class is told. */
function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
