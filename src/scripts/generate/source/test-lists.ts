import type { Field } from '../grammar/fields.ts'
import type { Listing } from '../grammar/listing.ts'
import type { Value } from '../grammar/values.ts'

/** What a generated test expects of lists: the first row, and a second one that differs in what lists look at. */

const isPlain = ({ type }: Field) => type.refersTo === undefined

/** The second row has another value in each field that lists look at. */
export function changesOf(fields: readonly Field[], { sort, search, filter }: Listing): string {
  const listed = fields.filter(({ name }) => [...sort, ...search, ...filter].includes(name))
  return listed
    .filter(isPlain)
    .map(({ name, type }) => `${name}: ${JSON.stringify(type.samples[1])}`)
    .join(', ')
}

/** What the name of the test says of lists: `, filtered and sorted`. */
export function done({ sort, search, filter }: Listing): string {
  const words = Object.entries({ filtered: filter, sorted: sort, searched: search }).flatMap(
    ([word, names]) => (names.length > 0 ? [word] : []),
  )
  if (words.length === 0) return ''
  return `, ${[words.slice(0, -1).join(', '), words.at(-1)].filter(Boolean).join(' and ')}`
}

/** Its order depends on the language of the database. */
const ORDERED_BY_WORDS = 'oneOf'

/** @param referenceOf what a field is sent that refers to something */
export function assertionsOf(
  fields: readonly Field[],
  { sort, search, filter }: Listing,
  referenceOf: (field: Field) => string | undefined,
): string[] {
  const named = (names: readonly string[]) => fields.filter(({ name }) => names.includes(name))
  // Lists look at texts, numbers and flags alone.
  const query = (name: string, value: Value) =>
    `'${new URLSearchParams({ [name]: value as string }).toString()}'`
  const filtered = named(filter).map((field) => {
    const reference = referenceOf(field)
    if (reference === 'null') return ''
    return reference === undefined
      ? `    t.strictSame(await list(${query(field.name, field.type.samples[1])}), [second])\n`
      : `    t.equal((await list(\`${field.name}=\${${reference}}\`)).length, 2)\n`
  })
  const sorted = named(sort)
    .filter((field) => isPlain(field) && field.type.name !== ORDERED_BY_WORDS)
    .map(({ name }) => `    t.strictSame(await list('sort=${name}'), [first, second])\n`)
  const searched = named(search).map(
    ({ type }) => `    t.strictSame(await list(${query('q', type.samples[1])}), [second])\n`,
  )
  return [...filtered, ...sorted, ...searched]
}
