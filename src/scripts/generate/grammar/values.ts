import { isEmail } from '../../../text/email-address.ts'

/** Values of fields as they stand on the command line. */

export type Value = string | number | boolean | readonly unknown[] | object

/** How the text of a default or fill is read: undefined where it is no value of the type. */
export interface ValueReader {
  readonly read: (text: string) => Value | undefined
  /** What is expected, for the message. */
  readonly expected: string
}

export const INT_MAX = 2_147_483_647
const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i
const DAY = /^\d{4}-\d\d-\d\d$/
const TIME = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/

/** Text that is of a form, kept as it is. */
const like = (isOfForm: (text: string) => boolean, expected: string): ValueReader => ({
  read: (text) => (isOfForm(text) ? text : undefined),
  expected,
})

export const texts = (max: number, min: number) => {
  const isOfLength = (text: string) => [...text].length >= min && [...text].length <= max
  return like(isOfLength, `text of ${min} to ${max} characters`)
}

export const decimals = (precision: number, scale: number): ValueReader => {
  const isOfForm = (text: string) => {
    const [, whole = '', fraction = ''] = /^-?(0|[1-9]\d*)(?:\.(\d+))?$/.exec(text) ?? []
    return whole !== '' && (whole === '0' ? 0 : whole.length) <= precision - scale && fraction.length <= scale
  }
  return like(isOfForm, `a number of ${precision} digits, ${scale} of them after the point`)
}

export const choices = (values: readonly string[]) =>
  like((text) => values.includes(text), `one of ${values.join(', ')}`)

export const intsFrom = (min: number, max: number): ValueReader => ({
  read: (text) =>
    /^-?\d{1,10}$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined,
  expected: min < -INT_MAX ? 'a whole number of 32 bits' : `a whole number from ${min} to ${max}`,
})

export const flags: ValueReader = {
  read: (text) => (text === 'true' || text === 'false' ? text === 'true' : undefined),
  expected: 'true or false',
}

const isDay = (text: string) => {
  const date = new Date(text)
  return DAY.test(text) && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)
}
export const days = like(isDay, 'a day such as 2026-01-31')

const isTime = (text: string) => isDay(TIME.exec(text)?.[1] ?? '') && !Number.isNaN(Date.parse(text))
export const times = like(isTime, 'a time such as 2026-01-31T09:00:00Z')

export const uuids = like((text) => UUID.test(text), 'a UUID')
export const addresses = like((text) => text.length <= 255 && isEmail(text), 'a mail address')
export const urls = like((text) => URL.canParse(text) && /^https?:/.test(text), 'a URL of http or https')

/** JSON; `isOfForm` says which. */
export const jsons = (isOfForm: (value: unknown) => boolean, expected: string): ValueReader => ({
  read(text) {
    try {
      const value = JSON.parse(text) as Value | null
      return value !== null && isOfForm(value) ? value : undefined
    } catch {
      return undefined
    }
  },
  expected,
})
