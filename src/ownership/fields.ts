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

const given = ({ default: value, fill }: Options<unknown>) => ({
  ...(value !== undefined && { default: value }),
  ...(fill !== undefined && { fill }),
})

/** Text of at most `max` code points. */
export function text<O extends Options<string> & { readonly min?: number }>(
  max: number,
  options?: O,
): Field<string, string, Needed<O>> {
  const { min = 0, ...others } = options ?? { min: 0 }
  return {
    schema: Text(max, min, inSchema(others)),
    column: () => varchar({ length: max }),
    isNullable: false,
    isSortable: true,
    // An index entry has room for 2,700 bytes.
    filter: max <= LONGEST_FILTERED ? 'values' : 'none',
    ...given(others),
  }
}
const LONGEST_FILTERED = 500

const INT = { minimum: -2_147_483_648, maximum: 2_147_483_647 }

/** A whole number of 32 bits. */
export function int<O extends Options<number> & { readonly min?: number; readonly max?: number }>(
  options?: O,
): Field<number, number, Needed<O>> {
  const { min = INT.minimum, max = INT.maximum, ...others }: Partial<O> = options ?? {}
  const isBounded = min > INT.minimum || max < INT.maximum
  const [least, most] = [sql.raw(String(min)), sql.raw(String(max))]
  return {
    schema: Type.Integer({ minimum: min, maximum: max, ...inSchema(others) }),
    column: () => integer(),
    isNullable: false,
    isSortable: true,
    filter: 'range',
    ...(isBounded && {
      check: (column) => sql`${column} between ${least} and ${most}`,
      checkEach: (column) => sql`${least} <= all(${column}) and ${most} >= all(${column})`,
    }),
    ...given(others),
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
  return {
    schema: Type.String({
      pattern,
      ...inSchema({ example: precision > scale ? example : '0', ...options }),
    }),
    column: () => numeric({ precision, scale }),
    isNullable: false,
    isSortable: true,
    filter: 'range',
    ...given(options ?? {}),
  }
}

/** True or false. */
export function flag<O extends Options<boolean>>(options?: O): Field<boolean, boolean, Needed<O>> {
  return {
    schema: Type.Boolean(inSchema(options ?? {})),
    column: () => boolean(),
    isNullable: false,
    isSortable: true,
    filter: 'values',
    ...given(options ?? {}),
  }
}

/** A moment: RFC 3339 with any offset in a body, UTC in answers, exact to the millisecond. */
export function time<O extends Options<string>>(options?: O): Field<Date, string, Needed<O>> {
  const said = inSchema(options ?? {})
  return {
    schema: Type.String({ format: 'date-time', examples: ['2026-11-23T10:15:00.000Z'], ...said }),
    answer: Type.Unsafe<Date>({ ...Time, ...said }),
    column: () => timestamp({ withTimezone: true, precision: 3 }),
    isNullable: false,
    isSortable: true,
    filter: 'range',
    ...given(options ?? {}),
  }
}

/** A day of the calendar, such as `"2026-11-23"`. */
export function day<O extends Options<string>>(options?: O): Field<string, string, Needed<O>> {
  return {
    schema: Type.String({ format: 'date', ...inSchema({ example: '2026-11-23', ...options }) }),
    column: () => date({ mode: 'string' }),
    isNullable: false,
    isSortable: true,
    filter: 'range',
    ...given(options ?? {}),
  }
}

/** One of these texts. To add one later is a migration of the constraint alone. */
export function oneOf<const Value extends string, O extends Options<NoInfer<Value>>>(
  values: readonly [Value, ...Value[]],
  options?: O,
): Field<Value, Value, Needed<O>> {
  return {
    schema: Type.Unsafe<Value>({ type: 'string', enum: values, ...inSchema(options ?? {}) }),
    column: () => unboundedText({ enum: values as readonly [string, ...string[]] as [string, ...string[]] }),
    isNullable: false,
    isSortable: true,
    filter: 'values',
    check: (column) => sql`${column} in (${sql.raw(values.map(literal).join(', '))})`,
    checkEach: (column) => sql`${column} <@ array[${sql.raw(values.map(literal).join(', '))}]::text[]`,
    ...given(options ?? {}),
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
    schema: array(of.schema),
    ...(of.answer && { answer: array(of.answer) }),
    column: () => of.column().array(),
    isNullable: false,
    isSortable: false,
    filter: 'none',
    ...(of.checkEach && { check: of.checkEach }),
    ...given(others),
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
  if (/"(?:anyOf|oneOf|allOf)":\[.*"type":"object"/.test(JSON.stringify(schema)))
    throw new TypeError('json(): give one object with optional properties, not alternatives of objects')
  return {
    schema: Type.Unsafe<Static<T>>({ ...schema, ...inSchema(options ?? {}) }),
    column: () => jsonb(),
    isNullable: false,
    isSortable: false,
    filter: 'none',
    ...given(options ?? {}),
  }
}

/** A UUID that refers to nothing here. */
export function uuid<O extends Options<string>>(options?: O): Field<string, string, Needed<O>> {
  return {
    schema: Type.String({ format: 'uuid', ...inSchema(options ?? {}) }),
    column: () => uuidColumn(),
    isNullable: false,
    isSortable: true,
    filter: 'values',
    ...given(options ?? {}),
  }
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
  const field = text<O>(max, options)
  return { ...field, schema: { ...(field.schema as TString), format } }
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
  return {
    schema: { ...Id, ...inSchema(options ?? {}) },
    column: () => uuidColumn(),
    isNullable: false,
    isSortable: true,
    filter: 'values',
    reference: { table, onDelete: options?.onDelete ?? 'cascade' },
  }
}

/** The field may be null, and left out. */
export const optional = <Value, Sent, N extends boolean>(
  field: Field<Value, Sent, N>,
): Field<Value | null, Sent | null, false> =>
  ({ ...field, isNullable: true }) as Field<Value | null, Sent | null, false>

/** A column of Drizzle's own, for types that have no field here, with the schema of its values. */
export const column = <T extends TSchema>(
  schema: T,
  build: () => PgColumnBuilderBase,
): Field<Static<T>, Static<T>, true> => ({
  schema,
  column: build as () => Builder,
  isNullable: false,
  isSortable: true,
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
