import type { Value, ValueReader } from './values.ts'

/** A type with its arguments: what becomes of it in the declaration, and what can be done with it. */
export interface Type {
  /** The function of src/ownership/fields.ts. */
  readonly name: string
  /** Its arguments before the options, as source. */
  readonly args?: readonly string[]
  /** Options that the type brings. */
  readonly options?: Readonly<Record<string, Value>>
  /** How a default or fill is read; none where there can be none. */
  readonly values?: ValueReader
  /** Two values for the test; the first is sorted before the second. */
  readonly samples: readonly [Value, Value]
  readonly canSort: boolean
  readonly canSearch: boolean
  readonly canFilter: boolean
  /** Table that it refers to. */
  readonly refersTo?: string
  /** What functions its arguments call, other than its own. */
  readonly uses?: readonly string[]
}

/** For the usage and for messages. */
export const TYPES = [
  'text',
  'text(1000)',
  'int',
  'int(1,5)',
  'decimal(10,2)',
  'flag',
  'time',
  'day',
  'oneOf(a,b)',
  'list(text(50))',
  'json',
  'uuid',
  'email',
  'url',
  'reference(names)',
  'reference(names,cascade|restrict|set null)',
]

/** Given the arguments of a type; `typeOf` reads one that is an argument itself. */
export type TypeReader = (args: readonly string[], typeOf: (source: string) => Type) => Type

export const sortable = { canSort: true, canSearch: false, canFilter: true }
export const unlisted = { canSort: false, canSearch: false, canFilter: false }
