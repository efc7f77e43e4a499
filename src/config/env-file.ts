/**
 * Reads a `.env` file like python-dotenv, which the FastAPI template uses: `#` starts a comment only after white space, and
 * `${NAME}` is expanded. (Node's own parser cuts a password at `#`, and an unclosed quote swallows the following lines.)
 *
 * @returns the raw values, and one line for each error
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

/** `#` starts a comment after white space. Directly after `=` it is part of the value, unless it stands alone. */
function withoutComment(rest: string): string {
  const at = rest.search(/\s#|^#(?:\s|$)/)
  return (at < 0 ? rest : rest.slice(0, at)).trim()
}

const unreadable = (at: number) => `.env: line ${at + 1} can't be read`

/** Text up to the closing quote, possibly lines below; only a comment may follow. */
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

/** Index of the closing quote; in double quotes, an escaped one does not close. */
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
 * Expands `${NAME}` and `${NAME:-default}` from the environment, then from the file. Any other `$` is literal, and
 * `\${NAME}` gives `${NAME}`. Values of the environment are not expanded.
 *
 * @returns the values, and one line for each of `names` that can't be expanded
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
