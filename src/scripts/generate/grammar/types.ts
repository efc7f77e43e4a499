import { decimal, int, list, oneOf, reference, text } from './type-arguments.ts'
import { type Type, type TypeReader, sortable, unlisted } from './type.ts'
import { type Value, addresses, days, flags, jsons, times, urls, uuids } from './values.ts'

/** Every type, by its name on the command line. */

const searched = { canSort: true, canSearch: true }
const anyJson = jsons(() => true, 'JSON other than null')

/** A type without arguments. */
const plain =
  (type: Omit<Type, 'samples'>, first: Value, second: Value) =>
  (args: readonly string[]): Type => {
    if (args.length > 0) throw new Error(`${type.name} takes no arguments`)
    return { ...type, samples: [first, second] }
  }

export const types: Readonly<Record<string, TypeReader>> = {
  text,
  int,
  decimal,
  flag: plain({ name: 'flag', values: flags, ...sortable }, false, true),
  time: plain(
    { name: 'time', values: times, ...sortable },
    '2026-01-31T09:00:00.000Z',
    '2026-02-28T09:00:00.000Z',
  ),
  day: plain({ name: 'day', values: days, ...sortable }, '2026-01-31', '2026-02-28'),
  oneOf,
  list,
  json: plain({ name: 'json', args: ['Type.Unknown()'], values: anyJson, ...unlisted }, { a: 1 }, { a: 2 }),
  uuid: plain(
    { name: 'uuid', values: uuids, ...sortable },
    '0b8a1f52-6c1d-4c8e-9a53-1f6f0e6b2c01',
    '7d2c4e90-2b7a-4f1e-8c64-5a9d3e7f4b02',
  ),
  email: plain(
    { name: 'email', values: addresses, canFilter: true, ...searched },
    'ada@example.com',
    'grace@example.com',
  ),
  url: plain(
    { name: 'url', values: urls, canFilter: false, ...searched },
    'https://example.com/apples',
    'https://example.com/berries',
  ),
  reference,
}
