import type { Field } from './fields.ts'

/** What lists of a resource can do: names of fields. */
export interface Listing {
  readonly sort: readonly string[]
  readonly search: readonly string[]
  readonly filter: readonly string[]
  /** A field that names who may read a row beside its owner. */
  readonly readers?: string
}

/** Bytes that PostgreSQL keeps of a name. */
const LONGEST_NAME = 63

export const namesIn = (list: string | undefined) =>
  (list ?? '').split(',').flatMap((name) => (name.trim() === '' ? [] : [name.trim()]))

/** @throws Error with the field and what to do, where lists can't do what is asked for */
export function checkListing(table: string, fields: readonly Field[], listing: Listing): void {
  const named = (name: string, option: string) => {
    const field = fields.find((one) => one.name === name)
    if (!field)
      throw new Error(
        `--${option} ${name}: there is no such field, only ${fields.map((one) => one.name).join(', ')}`,
      )
    return field
  }
  for (const name of listing.sort)
    if (!named(name, 'sort').type.canSort)
      throw new Error(`--sort ${name}: lists can't be sorted by a list or JSON: leave it out`)
  for (const name of listing.search)
    if (!named(name, 'search').type.canSearch)
      throw new Error(
        `--search ${name}: text, email and url can be searched: leave it out, or change its type`,
      )
  for (const name of listing.filter)
    if (!named(name, 'filter').type.canFilter)
      throw new Error(
        `--filter ${name}: lists can't be filtered by a list, JSON, a url or text of more than 500: leave it out`,
      )
  const { readers, sort, search, filter } = listing
  if (readers !== undefined && named(readers, 'readers').type.refersTo !== 'users')
    throw new Error(`--readers ${readers}: it names no user: declare it as ${readers}:reference(users)`)
  for (const [option, names] of Object.entries({ sort, search, filter }))
    if (new Set(names).size < names.length) throw new Error(`--${option} names a field twice`)
  for (const name of [...sort, ...filter])
    if (`${table}_owner_id_${name}_filter_index`.length > LONGEST_NAME)
      throw new Error(`${name}: the names of its indexes get too long: choose a shorter one`)
}
