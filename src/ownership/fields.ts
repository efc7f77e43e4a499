import { type TSchema, type TString, type Static, Type } from '@sinclair/typebox'
import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import {
  type PgColumnBuilderBase,
  boolean,
  date,
  integer,
  jsonb,
  numeric,
  text as unboundedText,
  timestamp,
  uuid as uuidColumn,
  varchar,
} from 'drizzle-orm/pg-core'
import { Id, Text, Time } from '../contract/contract.ts'
import { arrayOf } from '../database/columns.ts'

/**
 * Fields of a resource. One declaration gives the column of a table, the schema of bodies and answers, and what lists can
 * do with it, so that these can't differ.
 */

/** What `column` and the modifiers of a builder give. */
interface Builder extends PgColumnBuilderBase {
  notNull(): Builder
  default(value: unknown): Builder
  array(): Builder
}

/** What lists can be asked about a field: nothing, which values it has, or also a range of them. */
export type FilterKind = 'none' | 'values' | 'range'

/**
 * A field: `Value` in the code and in answers, `Sent` in a body, and whether the body of a creation must have it.
 */
export interface Field<Value = unknown, Sent = unknown, Needed extends boolean = boolean> {
  /** Schema of a value in a body; null is not in it. */
  readonly schema: TSchema
  /** The same in answers, where it differs. */
  readonly answer?: TSchema
  readonly column: () => Builder
  readonly isNullable: boolean
  readonly filter: FilterKind
  readonly isSortable: boolean
  /** Value of rows whose creation does not say another. */
  readonly default?: unknown
  /** Value of rows from before the field, which bodies can't leave out all the same. */
  readonly fill?: unknown
  /** What the column holds, beyond its type: a constraint of the table. And the same for each element of an array. */
  readonly check?: (column: SQLWrapper) => SQL
  readonly checkEach?: (column: SQLWrapper) => SQL
  readonly reference?: Reference
  /** A whole column of Drizzle's own, which says itself whether it may be null. */
  readonly isWhole?: true
  /** Type only. */
  readonly __types?: { readonly value: Value; readonly sent: Sent; readonly needed: Needed }
}

/** Deferred, as tables may refer to each other. */
export interface Reference {
  /** An owned table, or `users`. */
  readonly table: () => object
  readonly onDelete: OnDelete
}

type OnDelete = 'cascade' | 'restrict' | 'set null'

interface Options<Value> {
  readonly example?: Value | undefined
  readonly description?: string | undefined
  /** Value of a row that is created without the field. */
  readonly default?: Value | undefined
  /** Value of rows from before this field; new ones must have it in their body (migrations/README.md). */
  readonly fill?: Value | undefined
}

type Needed<O> = O extends { readonly default: unknown } ? false : true

const inSchema = ({ example, description }: Options<unknown>) => ({
  ...(example !== undefined && { examples: [example] }),
  ...(description !== undefined && { description }),
})

/** What a field has by itself; `lists` says what lists can do with it. */
const field = <Value, Sent, O = undefined>(
  { schema, column, lists = 'values' }: Pick<Field, 'schema' | 'column'> & { lists?: FilterKind | 'nothing' },
  { default: value, fill }: Options<unknown> = {},
): Field<Value, Sent, Needed<O>> => ({
  schema,
  column,
  isNullable: false,
  isSortable: lists !== 'nothing',
  filter: lists === 'nothing' ? 'none' : lists,
  ...(value !== undefined && { default: value }),
  ...(fill !== undefined && { fill }),
})

/** Text of at most `max` code points. */
export function text<O extends Options<string> & { readonly min?: number }>(
  max: number,
  options?: O,
): Field<string, string, Needed<O>> {
  const { min = 0, ...given } = options ?? { min: 0 }
  const others = min > EXAMPLE.length ? { example: EXAMPLE.padEnd(min, ` ${EXAMPLE}`), ...given } : given
  return field<string, string, O>(
    {
      schema: Text(max, min, inSchema(others)),
      column: () => varchar({ length: max }),
      // An index entry has room for 2,700 bytes.
      lists: max <= LONGEST_FILTERED ? 'values' : 'none',
    },
    others,
  )
}
const LONGEST_FILTERED = 500
/** What Swagger UI fills in for a text without an example; one that is too short would be refused. */
const EXAMPLE = 'string'

const INT = { minimum: -2_147_483_648, maximum: 2_147_483_647 }

/** A whole number of 32 bits. */
export function int<O extends Options<number> & { readonly min?: number; readonly max?: number }>(
  options?: O,
): Field<number, number, Needed<O>> {
  const { min = INT.minimum, max = INT.maximum, ...given }: Partial<O> = options ?? {}
  const isBounded = min > INT.minimum || max < INT.maximum
  // Swagger UI fills in 0 for a number without an example.
  const others = min > 0 || max < 0 ? { example: min > 0 ? min : max, ...given } : given
  const [least, most] = [sql.raw(String(min)), sql.raw(String(max))]
  const schema = Type.Integer({ minimum: min, maximum: max, ...inSchema(others) })
  return {
    ...field<number, number, O>({ schema, column: () => integer(), lists: 'range' }, others),
    ...(isBounded && {
      check: (column: SQLWrapper) => sql`${column} between ${least} and ${most}`,
      checkEach: (column: SQLWrapper) => sql`${least} <= all(${column}) and ${most} >= all(${column})`,
    }),
  }
}

/** An exact number with `scale` digits after the point, `precision` in all; text on the wire, such as `"12.50"`. */
export function decimal<O extends Options<string>>(
  precision: number,
  scale: number,
  options?: O,
): Field<string, string, Needed<O>> {
  const whole = precision > scale ? String.raw`\d{1,${precision - scale}}` : '0'
  const pattern = scale > 0 ? String.raw`^-?${whole}(\.\d{1,${scale}})?$` : `^-?${whole}$`
  const example = scale > 0 ? `1.${'0'.repeat(scale)}` : '1'
  const schema = Type.String({
    pattern,
    ...inSchema({ example: precision > scale ? example : '0', ...options }),
  })
  const column = () => numeric({ precision, scale })
  return field<string, string, O>({ schema, column, lists: 'range' }, options)
}

/** True or false. */
export function flag<O extends Options<boolean>>(options?: O): Field<boolean, boolean, Needed<O>> {
  const schema = Type.Boolean(inSchema(options ?? {}))
  return field<boolean, boolean, O>({ schema, column: () => boolean() }, options)
}

/** A moment: RFC 3339 with any offset in a body, UTC in answers, exact to the millisecond. */
export function time<O extends Options<string>>(options?: O): Field<Date, string, Needed<O>> {
  const said = inSchema(options ?? {})
  const schema = Type.String({ format: 'date-time', examples: ['2026-11-23T10:15:00.000Z'], ...said })
  const column = () => timestamp({ withTimezone: true, precision: 3 })
  return {
    ...field<Date, string, O>({ schema, column, lists: 'range' }, options),
    answer: Type.Unsafe<Date>({ ...Time, ...said }),
  }
}

/** A day of the calendar, such as `"2026-11-23"`. */
export function day<O extends Options<string>>(options?: O): Field<string, string, Needed<O>> {
  const schema = Type.String({ format: 'date', ...inSchema({ example: '2026-11-23', ...options }) })
  const column = () => date({ mode: 'string' })
  return field<string, string, O>({ schema, column, lists: 'range' }, options)
}

/** One of these texts. To add one later is a migration of the constraint alone. */
export function oneOf<const Value extends string, O extends Options<NoInfer<Value>>>(
  values: readonly [Value, ...Value[]],
  options?: O,
): Field<Value, Value, Needed<O>> {
  const allowed = sql.raw(values.map(literal).join(', '))
  const schema = Type.Unsafe<Value>({ type: 'string', enum: values, ...inSchema(options ?? {}) })
  const column = () => unboundedText({ enum: [...values] as [string, ...string[]] })
  return {
    ...field<Value, Value, O>({ schema, column }, options),
    check: (column: SQLWrapper) => sql`${column} in (${allowed})`,
    checkEach: (column: SQLWrapper) => sql`${column} <@ array[${allowed}]::text[]`,
  }
}

const literal = (value: string) => `'${value.replaceAll("'", "''")}'`

/** A list of values of one kind; `max` of them. */
export function list<Value, Sent, O extends Options<NoInfer<Sent>[]> & { readonly max?: number }>(
  of: Field<Value, Sent>,
  options?: O,
): Field<Value[], Sent[], Needed<O>> {
  const { max = MOST_LISTED, ...others } = options ?? { max: MOST_LISTED }
  const array = (items: TSchema) => Type.Array(items, { maxItems: max, ...inSchema(others) })
  return {
    ...field<Value[], Sent[], O>(
      { schema: array(of.schema), column: () => of.column().array(), lists: 'nothing' },
      others,
    ),
    ...(of.answer && { answer: array(of.answer) }),
    ...(of.checkEach && { check: of.checkEach }),
  }
}
const MOST_LISTED = 100

/**
 * JSON that fits the schema.
 *
 * @throws TypeError for alternatives of objects: validation removes what is not in the first of them
 */
export function json<T extends TSchema, O extends Options<Static<T>>>(
  schema: T,
  options?: O,
): Field<Static<T>, Static<T>, Needed<O>> {
  if (hasAlternativesOfObjects(schema))
    throw new TypeError('json(): give one object with optional properties, not alternatives of objects')
  const said = Type.Unsafe<Static<T>>({ ...schema, ...inSchema(options ?? {}) })
  return field<Static<T>, Static<T>, O>({ schema: said, column: () => jsonb(), lists: 'nothing' }, options)
}

const ALTERNATIVES = new Set(['anyOf', 'oneOf', 'allOf'])

const hasAlternativesOfObjects = (part: unknown): boolean =>
  typeof part === 'object' &&
  part !== null &&
  Object.entries(part).some(
    ([name, inner]) =>
      (ALTERNATIVES.has(name) && Array.isArray(inner) && inner.filter(mayLose).length > 1) ||
      hasAlternativesOfObjects(inner),
  )

const mayLose = ({ type }: TSchema) => type === 'object' || type === 'array'

/** A UUID that refers to nothing here. */
export function uuid<O extends Options<string>>(options?: O): Field<string, string, Needed<O>> {
  const schema = Type.String({ format: 'uuid', ...inSchema(options ?? {}) })
  return field<string, string, O>({ schema, column: () => uuidColumn() }, options)
}

/** A mail address. */
export function email<O extends Options<string>>(options?: O): Field<string, string, Needed<O>> {
  return formatted('email', 255, { example: 'ada@example.com', ...options } as O)
}

/** An address of the web, http or https. */
export function url<O extends Options<string>>(options?: O): Field<string, string, Needed<O>> {
  return formatted('uri', 2_048, { example: 'https://example.com/', ...options } as O)
}

function formatted<O extends Options<string>>(format: string, max: number, options: O) {
  const made = text<O>(max, options)
  return { ...made, schema: { ...(made.schema as TString), format } }
}

/**
 * A row of another owned table that whoever writes may read, or a user.
 *
 * @param table a function, as tables may refer to each other; one that refers to itself says `(): object => folders`
 * @param onDelete what becomes of this row when that one is deleted: `restrict` refuses the deletion
 */
export function reference(
  table: () => object,
  options?: { readonly onDelete?: OnDelete; readonly description?: string },
): Field<string, string, true> {
  const { onDelete = 'cascade', ...others } = options ?? {}
  const schema = { ...Id, ...inSchema(others) }
  return {
    ...field<string, string>({ schema, column: () => uuidColumn() }),
    reference: { table, onDelete },
  }
}

/** The field may be null, and left out. */
export const optional = <Value, Sent, N extends boolean>(
  declared: Field<Value, Sent, N>,
): Field<Value | null, Sent | null, false> =>
  ({ ...declared, isNullable: true }) as Field<Value | null, Sent | null, false>

/** A column of Drizzle's own, for types that have no field here, with the schema of its values. */
export const column = <T extends TSchema>(
  schema: T,
  build: () => PgColumnBuilderBase,
): Field<Static<T>, Static<T>, true> => ({
  ...field<Static<T>, Static<T>>({ schema, column: build as () => Builder }),
  filter: 'none',
})

/** A field, whether it is declared as one or as a column of Drizzle's, which has no schema. */
export const asField = (declared: Field | PgColumnBuilderBase): Field =>
  'isSortable' in declared ? declared : { ...column(Type.Unknown(), () => declared), isWhole: true }

/** The column of a field, as it stands in the table. */
export function columnOf({ column, isNullable, isWhole, default: value, fill }: Field): PgColumnBuilderBase {
  if (isWhole) return column()
  const built = isNullable ? column() : column().notNull()
  const otherwise = value ?? fill
  return otherwise === undefined ? built : built.default(asDefault(otherwise))
}

/** drizzle-kit writes arrays and JSON into a migration without escaping what is in them. */
function asDefault(value: unknown): unknown {
  if (Array.isArray(value)) return sql.raw(literal(arrayOf(value)))
  return typeof value === 'object' ? sql.raw(literal(JSON.stringify(value))) : value
}

/** Schema of the field in answers. */
export const answered = ({ schema, answer = schema, isNullable }: Field): TSchema =>
  isNullable ? orNull(answer) : answer

/** Schema of the field in the body of a creation, and of a change. */
export function sent(field: Field): { readonly created: TSchema; readonly changed: TSchema } {
  const changed = field.isNullable ? orNull(field.schema) : field.schema
  if (field.default !== undefined)
    return { created: Type.Optional({ ...changed, default: field.default }), changed }
  return { created: field.isNullable ? Type.Optional(changed) : changed, changed }
}

function orNull(schema: TSchema): TSchema {
  const { type, ...others } = schema as TSchema & { type?: string; enum?: unknown[] }
  if (type === undefined) return Object.keys(schema).length === 0 ? schema : Type.Union([schema, Type.Null()])
  return Type.Unsafe({
    type: [type, 'null'],
    ...others,
    ...(others.enum && { enum: [...others.enum, null] }),
  })
}
