/**
 * A `.env` file, read as python-dotenv reads it, whose files the FastAPI template's users have: a `#` begins a comment
 * only after white space, and `${NAME}` stands for another value. (Node's own reader cuts a password at its `#`, and
 * lets a quote that nobody closed swallow the lines behind it.)
 *
 * @returns the values as they stand there, and a line for each place that can't be read
 */
export function readEnvFile(text: string): { values: Record<string, string>; faults: string[] } {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/)
  const values: Record<string, string> = {}
  const faults: string[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const [, name, rest] = /^\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*=(.*)$/.exec(lines[at] ?? '') ?? []
    if (name === undefined || rest === undefined) {
      if (!/^\s*(?:#|$|export\s+[\w.-]+\s*$|[\w.-]+\s*$)/.test(lines[at] ?? '')) faults.push(unreadable(at))
      continue
    }
    const value = rest.trim()
    const quote = /^["'`]/.exec(value)?.[0]
    if (quote === undefined) {
      values[name] = withoutComment(rest)
      continue
    }
    const end = endOfQuoted(lines, at, value, quote)
    if (end === undefined) {
      faults.push(unreadable(at))
      continue
    }
    values[name] = quote === '"' ? unescaped(end.text) : end.text
    at = end.line
  }
  return { values, faults }
}

/** A `#` begins one after white space. Right behind the `=` it is a part of the value, unless it stands by itself. */
function withoutComment(rest: string): string {
  const at = rest.search(/\s#|^#(?:\s|$)/)
  return (at < 0 ? rest : rest.slice(0, at)).trim()
}

const unreadable = (at: number) => `.env: line ${at + 1} can't be read`

/** The text up to the quote that closes it, which may be lines below; nothing but a comment may follow there. */
function endOfQuoted(lines: readonly string[], first: number, value: string, quote: string) {
  let text = value.slice(1)
  for (let line = first; ; text += `\n${lines[line] ?? ''}`) {
    const close = closing(text, quote)
    if (close >= 0)
      return /^\s*(?:#|$)/.test(text.slice(close + 1)) ? { text: text.slice(0, close), line } : undefined
    line += 1
    if (line >= lines.length) return undefined
  }
}

/** Where the quote stands that closes; within double ones, what a backslash stands before does not. */
function closing(text: string, quote: string): number {
  if (quote !== '"') return text.indexOf(quote)
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === quote) return at
  }
  return -1
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\', '"': '"' }
const unescaped = (text: string) => text.replace(/\\([nrt\\"])/g, (_, sign: string) => ESCAPES[sign] ?? sign)

/**
 * The values with what `${NAME}` and `${NAME:-default}` stand for: the environment's value, or the file's. Every other
 * `$` is itself, and `\${NAME}` stays `${NAME}`. What came from the environment is not expanded.
 *
 * @returns a line for each of `names` that can't be expanded beside
 */
export function expanded(
  values: Readonly<Record<string, string>>,
  env: Readonly<NodeJS.Dict<string>>,
  names: readonly string[],
): { values: Record<string, string>; faults: string[] } {
  const faults: string[] = []
  const expand = (text: string, within: readonly string[]): string =>
    text.replace(REFERENCE, (whole, escaped: string, other: string, fallback: string | undefined) => {
      if (escaped !== '') return whole.slice(1)
      const given = env[other]
      if (given !== undefined && given !== '') return given
      const own = within.includes(other) ? undefined : values[other]
      if (own !== undefined && own !== '') return expand(own, [...within, other])
      if (fallback === undefined && own === undefined && names.includes(within[0] ?? ''))
        faults.push(`${within[0]}: \${${other}} in .env is not set`)
      return fallback ?? ''
    })
  const all = Object.entries(values).map(([name, text]) => [name, expand(text, [name])] as const)
  return { values: Object.fromEntries(all), faults }
}

const REFERENCE = /(\\?)\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}/g
