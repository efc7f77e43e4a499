/**
 * Reads a `.env` file like python-dotenv, which the FastAPI template uses: `#` starts a comment only after white space. (Node's
 * own parser cuts a password at `#`, and an unclosed quote swallows the following lines.)
 *
 * @returns the raw values; the names of those in single quotes, which are not expanded; and one line for each error
 */
export function readEnvFile(text: string): EnvFile {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/)
  const values: Record<string, string> = {}
  const literal = new Set<string>()
  const faults: string[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const [, name, rest] = /^\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*=(.*)$/.exec(lines[at] ?? '') ?? []
    if (name === undefined || rest === undefined) {
      if (!/^\s*(?:#|$|export\s+[\w.-]+\s*$|[\w.-]+\s*$)/.test(lines[at] ?? '')) faults.push(unreadable(at))
      continue
    }
    const value = rest.trim()
    const quote = /^["'`]/.exec(value)?.[0]
    literal.delete(name)
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
    if (quote === "'") literal.add(name)
    at = end.line
  }
  return { values, literal, faults }
}

interface EnvFile {
  readonly values: Readonly<Record<string, string>>
  readonly literal: ReadonlySet<string>
  readonly faults: readonly string[]
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
