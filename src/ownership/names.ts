/** Names in the contract, derived from the name of a table. Names are in snake_case, and their last word is what counts. */

const IRREGULAR = new Map([
  ['people', 'person'],
  ['children', 'child'],
  ['men', 'man'],
  ['women', 'woman'],
  ['movies', 'movie'],
  ['cookies', 'cookie'],
  ['caches', 'cache'],
  ['shoes', 'shoe'],
  ['series', 'series'],
  ['species', 'species'],
  ['news', 'news'],
])

/** Endings of plurals, and what stands for them in the singular; the first that fits. */
const ENDINGS: readonly [plural: RegExp, singular: string][] = [
  [/ies$/, 'y'], // categories
  [/(?<=ss|sh|ch|x|zz|o)es$/, ''], // addresses, branches, boxes, heroes
  [/(?<=[^aeo]us|alias)es$/, ''], // statuses, but not houses
  [/(?<![isu])s$/, ''], // notes, but not address, status or analysis
]

/** `order_lines` → `order_line`. The same name where it is no plural that follows the rules. */
export function singular(name: string): string {
  const at = name.lastIndexOf('_') + 1
  const word = name.slice(at)
  const ending = ENDINGS.find(([plural]) => plural.test(word))
  const one = IRREGULAR.get(word) ?? (ending ? word.replace(...ending) : word)
  return name.slice(0, at) + one
}

/** `order_line` → `OrderLine` */
export const pascalCase = (name: string) => name.split('_').map(capitalized).join('')

/** `order_line` → `orderLine` */
export const camelCase = (name: string) => {
  const [first = '', ...others] = name.split('_')
  return first + others.map(capitalized).join('')
}

/** `order_lines` → `order-lines`, as in paths and file names */
export const slug = (name: string) => name.replaceAll('_', '-')

/** `order_line` → `order line` */
export const inWords = (name: string) => name.replaceAll('_', ' ')

/** `order line` → `Order line` */
export const capitalized = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1)

/** The vowel is silent, or sounds like "you" or "won": a user, a unit, a one-off. */
const CONSONANT_SOUND = /^(?:uni(?!n)|us[aeu]|ut[ei]|ur[il]|uu|eu|ewe|one(?![a-z])|once)/
const SILENT_H = /^(?:hour|hono|heir)/

/** `item` → `an` */
export const article = (words: string): 'a' | 'an' =>
  (/^[aeiou]/.test(words) && !CONSONANT_SOUND.test(words)) || SILENT_H.test(words) ? 'an' : 'a'
