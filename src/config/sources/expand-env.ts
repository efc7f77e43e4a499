/**
 * Expands `${NAME}` in the values of a `.env` file like dotenv-expand and docker compose: from the environment, then from
 * the file, with `${NAME:-default}` (also where it is empty), `${NAME-default}`, `${NAME:+other}` and `${NAME+other}`; `\\$`
 * is `$`. Values of the environment are taken as they are. Not dotenv-expand itself: it expands those, too, and a `$` without
 * braces, which passwords have.
 *
 * @param literal names whose values stay as they are
 * @param settings names that the service reads
 * @returns the values; names that are no setting, and that no value refers to; one line for each setting that can't be expanded
 */
export function expanded(
  { values, literal }: { values: Readonly<Record<string, string>>; literal: ReadonlySet<string> },
  env: Readonly<NodeJS.Dict<string>>,
  settings: readonly string[],
): { values: Record<string, string>; unused: string[]; faults: string[] } {
  const referred = new Set<string>()
  const faults: string[] = []

  /** @param within names whose values lead here, the first of which is to be set */
  function valueInFile(name: string, within: readonly string[] = []): string | undefined {
    const text = within.includes(name) ? undefined : values[name]
    return text === undefined || literal.has(name) ? text : expand(text, [...within, name])
  }

  function expand(text: string, within: readonly string[]): string {
    let told = ''
    for (let at = 0; at < text.length;) {
      const found = referenceAt(text, at)
      if (text.startsWith('\\$', at)) told += '$'
      else if (found) told += replacement(found, within)
      else told += text[at]
      at = text.startsWith('\\$', at) ? at + 2 : (found?.end ?? at + 1)
    }
    return told
  }

  function replacement({ name, operator, word }: Reference, within: readonly string[]): string {
    referred.add(name)
    const value = env[name] || valueInFile(name, within)
    const isSet = operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined
    if (operator.endsWith('+')) return isSet ? expand(word, within) : ''
    if (isSet) return value ?? ''
    if (operator.endsWith('-')) return expand(word, within)
    if (value === undefined && settings.includes(within[0] ?? ''))
      faults.push(`${within[0]}: \${${name}} in .env is not set`)
    return ''
  }

  const all = Object.keys(values).map((name) => [name, valueInFile(name) ?? ''] as const)
  const unused = Object.keys(values).filter((name) => !settings.includes(name) && !referred.has(name))
  return { values: Object.fromEntries(all), unused, faults }
}

interface Reference {
  readonly name: string
  /** `:-`, `-`, `:+`, `+`, or empty. */
  readonly operator: string
  /** What follows the operator; references may be in it. */
  readonly word: string
  /** Index behind it. */
  readonly end: number
}

const START = /\$\{([A-Za-z_]\w*)(?:\}|(:?[-+]))/y

function referenceAt(text: string, at: number): Reference | undefined {
  START.lastIndex = at
  const [whole, name, operator] = START.exec(text) ?? []
  if (whole === undefined || name === undefined) return undefined
  const from = at + whole.length
  if (operator === undefined) return { name, operator: '', word: '', end: from }
  const close = closingBrace(text, from)
  return close < 0 ? undefined : { name, operator, word: text.slice(from, close), end: close + 1 }
}

/** Index of the brace that closes what was opened before `from`. */
function closingBrace(text: string, from: number): number {
  let open = 1
  for (let at = from; at < text.length; at += 1) {
    if (text.startsWith('${', at)) open += 1
    else if (text[at] === '}') open -= 1
    if (open === 0) return at
  }
  return -1
}
