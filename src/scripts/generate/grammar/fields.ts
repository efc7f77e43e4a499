import { TYPES, type Type } from './type.ts'
import { types } from './types.ts'
import { type Value, texts } from './values.ts'

/** A field as the command line declares it: `due:day?`, `kind:oneOf(private,shared)=private`. */
export interface Field {
  readonly name: string
  readonly type: Type
  readonly isOptional: boolean
  readonly default?: Value
  /** Value of rows from before the field. */
  readonly fill?: Value
}

/** Every owned table has these, and every list's query those. */
const GIVEN = new Set(['id', 'owner_id', 'created_at'])
const OF_LISTS = new Set(['q', 'sort', 'skip', 'limit', 'cursor'])
/** Columns that PostgreSQL gives each table, and what every object of JavaScript has. */
const RESERVED = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid', 'constructor'])

export const NAME = /^[a-z][a-z0-9_]{0,40}$/

/** Arguments have parentheses at most once more: `list(decimal(10,2))`. */
const ARGUMENTS = String.raw`(?:\(((?:[^()]|\([^()]*\))*)\))?`
const FIELD = new RegExp(`^([^:]*):([A-Za-z]+)${ARGUMENTS}(\\?)?(?:=([^]*))?$`)
const TYPE = new RegExp(`^([A-Za-z]+)${ARGUMENTS}$`)

/**
 * @param text `name:type`, with `?` where the field may be null, and `=value` for its default
 * @throws Error with the name of the field and what to write instead
 */
export function readField(text: string): Field {
  const [, name, type = '', args, mark, value] = FIELD.exec(text) ?? []
  if (name === undefined)
    throw new Error(`"${text}" is no field: write name:type, name:type? or name:type=default`)
  return explained(name, () => {
    checkName(name)
    const field = withMinimum({ name, type: typeFor(type, args), isOptional: mark !== undefined })
    if (field.type.options?.onDelete === 'set null' && !field.isOptional)
      throw new Error('a field that is set to null may be null: add a ?')
    return value === undefined ? field : { ...field, default: valueOf(field, value, 'default') }
  })
}

/** The same field with a value for rows from before it. */
export const withFill = (field: Field, text: string): Field =>
  explained(field.name, () => ({ ...field, fill: valueOf(field, text, 'fill') }))

/** Says which field an error is about. */
function explained<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error })
  }
}

function checkName(name: string): void {
  if (!NAME.test(name)) throw new Error('a name is small letters, digits and _, and begins with a letter')
  if (GIVEN.has(name)) throw new Error('every resource has this field by itself: leave it out')
  if (OF_LISTS.has(name)) throw new Error('every list has a parameter of this name: choose another')
  if (RESERVED.has(name)) throw new Error('this name is reserved: choose another')
}

function typeFor(name: string, args = ''): Type {
  const reader = Object.hasOwn(types, name) ? types[name] : undefined
  if (!reader) throw new Error(`there is no type "${name}", only ${TYPES.join(', ')}`)
  const parts = args.match(/(?:[^,()]|\([^()]*\))+/g) ?? []
  return reader(parts.map((part) => part.trim()).filter(Boolean), (source) => {
    const [, inner = '', its] = TYPE.exec(source) ?? []
    return typeFor(inner, its)
  })
}

/** Text that must be there is not empty. */
function withMinimum(field: Omit<Field, 'default'>): Omit<Field, 'default'> {
  const { type, isOptional } = field
  if (type.name !== 'text' || isOptional) return field
  return { ...field, type: { ...type, options: { min: 1 }, values: texts(Number(type.args?.[0]), 1) } }
}

function valueOf({ type }: Omit<Field, 'default'>, text: string, what: string): Value {
  if (!type.values)
    throw new Error(`a ${type.name} takes no ${what}: leave it out, and let the field be null by ?`)
  const value = type.values.read(text)
  if (value === undefined) throw new Error(`the ${what} "${text}" should be ${type.values.expected}`)
  return value
}
