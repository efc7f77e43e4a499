import { type Type, type TypeReader, sortable, unlisted } from './type.ts'
import { INT_MAX, choices, decimals, intsFrom, jsons, texts } from './values.ts'

/** The types that take arguments. */

/** Characters that an index of a filter has room for (src/ownership/fields.ts). */
const LONGEST_FILTERED = 500
/** Of varchar, in PostgreSQL. */
const LONGEST_TEXT = 10_485_760
const DIGITS = 1_000

const whole = (text: string | undefined) => (/^\d{1,8}$/.test(text ?? '') ? Number(text) : NaN)

export const text: TypeReader = (args) => {
  const max = args.length === 0 ? 255 : whole(args[0])
  if (args.length > 1 || !(max >= 1 && max <= LONGEST_TEXT))
    throw new Error(`text takes its greatest length, from 1 to ${LONGEST_TEXT}: text(1000)`)
  return {
    name: 'text',
    args: [String(max)],
    values: texts(max, 0),
    samples: [cut('Apples', max), cut('Berries', max)],
    canSort: true,
    canSearch: true,
    canFilter: max <= LONGEST_FILTERED,
  }
}

const cut = (text: string, max: number) => text.slice(0, max)

export const int: TypeReader = (args) => {
  const [min = -INT_MAX - 1, max = INT_MAX] = args.map((text) =>
    /^-?\d{1,10}$/.test(text) ? Number(text) : NaN,
  )
  if (![0, 2].includes(args.length) || !(min >= -INT_MAX - 1 && min < max && max <= INT_MAX))
    throw new Error('int takes its least and its greatest value, or nothing: int(1,5)')
  const least = args.length === 0 ? 1 : min
  return {
    name: 'int',
    options: args.length === 0 ? {} : { min, max },
    values: intsFrom(min, max),
    samples: [least, least + 1],
    ...sortable,
  }
}

export const decimal: TypeReader = (args) => {
  const [precision, scale] = [whole(args[0]), whole(args[1])]
  if (args.length !== 2 || !(precision >= 1 && precision <= DIGITS && scale <= precision))
    throw new Error('decimal takes how many digits there are, and how many after the point: decimal(10,2)')
  const sample = (digit: number) =>
    precision > scale
      ? `${digit}${scale > 0 ? `.${'5'.padEnd(scale, '0')}` : ''}`
      : `0.${String(digit).padEnd(scale, '0')}`
  return {
    name: 'decimal',
    args: [String(precision), String(scale)],
    values: decimals(precision, scale),
    samples: [sample(1), sample(2)],
    ...sortable,
  }
}

export const oneOf: TypeReader = (args) => {
  if (args.length < 2 || new Set(args).size < args.length || !args.every((value) => CHOICE.test(value)))
    throw new Error(
      'oneOf takes two or more different values of letters, digits, spaces, _ . and -: oneOf(open,done)',
    )
  const [first = '', second = ''] = args
  const samples = [first, second].toSorted() as [string, string]
  return { name: 'oneOf', args: [JSON.stringify(args)], values: choices(args), samples, ...sortable }
}
const CHOICE = /^[\p{L}\p{N}][\p{L}\p{N} _.-]{0,99}$/u

const ACTIONS = ['cascade', 'restrict', 'set null']

export const reference: TypeReader = (args) => {
  const [table = '', given = ''] = args
  const onDelete = given === 'setNull' ? 'set null' : given
  if (table === '' || args.length > 2 || (args.length === 2 && !ACTIONS.includes(onDelete)))
    throw new Error(
      `reference takes a resource or users, and ${ACTIONS.join(', ')}: reference(projects,restrict)`,
    )
  if (table === 'users' && onDelete === 'restrict')
    throw new Error(
      'a user can be deleted at any time: reference(users,cascade) or reference(users,set null)',
    )
  return {
    name: 'reference',
    options: onDelete === '' ? {} : { onDelete },
    samples: ['', ''], // rows that the test makes
    refersTo: table,
    ...sortable,
  }
}

export const list: TypeReader = (args, typeOf) => {
  if (args.length !== 1) throw new Error('list takes the type of its values: list(text(50))')
  const of = typeOf(args[0]!)
  if (['list', 'json', 'reference'].includes(of.name)) throw new Error(`there is no list of ${of.name}`)
  const isOne = (value: unknown) =>
    typeof value === typeof of.samples[0] && of.values?.read(String(value)) !== undefined
  const isList = (value: unknown) => Array.isArray(value) && value.every(isOne)
  return {
    name: 'list',
    args: [`${of.name}(${[...(of.args ?? []), ...optionsOf(of)].join(', ')})`],
    values: jsons(isList, `a JSON array of which each is ${of.values?.expected}`),
    samples: [[of.samples[0]], [...of.samples]],
    ...unlisted,
    uses: [of.name],
  }
}

const optionsOf = ({ options }: Type) =>
  options && Object.keys(options).length > 0
    ? [
        `{ ${Object.entries(options)
          .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
          .join(', ')} }`,
      ]
    : []
