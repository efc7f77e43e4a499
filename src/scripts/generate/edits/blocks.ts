/**
 * Finds its way in source text by brackets, without a parser: enough for lists and objects that stand in place. What stands
 * in texts and comments does not count.
 */

/** What is between two brackets. */
export interface Block {
  readonly open: number
  readonly close: number
  /** Behind the last code in it: comments may follow. */
  readonly end: number
  /** As long as the block, with blanks for texts, comments and what stands in further brackets. */
  readonly shallow: string
}

/** @param open where its first bracket is */
export function blockAt(text: string, open: number): Block {
  let depth = 0
  let end = open + 1
  let shallow = ''
  for (let at = open; at < text.length;) {
    const next = endOfToken(text, at)
    const token = text.slice(at, next)
    if (token.length === 1 && '([{'.includes(token)) depth += 1
    if (token.length === 1 && ')]}'.includes(token)) depth -= 1
    if (depth === 0) return { open, close: at, end, shallow }
    const isShallow = token.length === 1 && (depth === 1 || (depth === 2 && '([{'.includes(token)))
    shallow += isShallow ? token : ' '.repeat(token.length)
    if (at > open && !isComment(token) && token.trim() !== '') end = next
    at = next
  }
  throw new Error(`the bracket at "${text.slice(open, open + 40)}" is never closed`)
}

const isComment = (token: string) => token.startsWith('//') || token.startsWith('/*')

/** A comment and a text are each a token; so is any other character. */
function endOfToken(text: string, at: number): number {
  if (text.startsWith('//', at)) return indexFrom(text, '\n', at)
  if (text.startsWith('/*', at)) return indexFrom(text, '*/', at + 2) + 2
  const quote = text[at]!
  if (!`'"\``.includes(quote)) return at + 1
  let end = at + 1
  while (end < text.length && text[end] !== quote) end += text[end] === '\\' ? 2 : 1
  return end + 1
}

function indexFrom(text: string, what: string, from: number): number {
  const found = text.indexOf(what, from)
  return found === -1 ? text.length : found
}

/** The text with one more entry at the end of the block, on a line of its own: formatting puts it in its place. */
export function withEntry(text: string, open: number, entry: string): string {
  const { end, close } = blockAt(text, open)
  const comma = end === open + 1 || text[end - 1] === ',' ? '' : ','
  return `${text.slice(0, end)}${comma}${text.slice(end, close).trimEnd()}\n${entry},\n${text.slice(close)}`
}

/** Where in the text a key of the object at `open` has its value; undefined where there is no such key. */
export function valueOfKey(text: string, open: number, key: string): number | undefined {
  const found = new RegExp(`[{,\\s]${key}\\s*:\\s*`).exec(blockAt(text, open).shallow)
  return found ? open + found.index + found[0].length : undefined
}
