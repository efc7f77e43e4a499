import { isDeepStrictEqual } from 'node:util'
import type { Answer } from './client.ts'
import { codeOf } from '../support/errors.ts'
import { isMap, misfits, type Shape } from './shapes.ts'

/** Part of every wrong value that the walk sends: an answer that holds it has echoed input. */
export const ECHO = 'zqecho'

interface Failure {
  what: string
  expected: string
  came: string
}

/** The ledger of one row. Each method is one check, told in one line. */
export class Check {
  count = 0
  /** Why a row was walked in part. */
  note = ''
  readonly failures: Failure[] = []

  holds(what: string, condition: boolean, expected: string, came: unknown) {
    this.count += 1
    if (!condition) this.failures.push({ what, expected, came: brief(came) })
  }

  equal(what: string, came: unknown, expected: unknown) {
    this.holds(what, isDeepStrictEqual(came, expected), brief(expected), came)
  }

  status(what: string, answer: Answer, ...statuses: number[]) {
    this.holds(what, statuses.includes(answer.status), statuses.join(' or '), answer)
  }

  /** An error as the contract has it: `{"detail": text, "code": name}` and nothing more. Any where no text is given. */
  error(what: string, answer: Answer, status: number, detail?: string) {
    const { detail: text, code } = isMap(answer.body) ? answer.body : {}
    const challenge = answer.headers['www-authenticate']
    const fits =
      answer.status === status &&
      isDeepStrictEqual(answer.body, { detail: text, code }) &&
      (detail === undefined ? isText(text) && isText(code) : text === detail && code === codeOf(detail)) &&
      isJson(answer) &&
      (detail === undefined || challenge === challenges[detail])
    const header = detail && challenges[detail] ? `, WWW-Authenticate: ${challenges[detail]}` : ''
    this.holds(what, fits, `${status} {"detail": "${detail ?? '(a text)'}", "code": …}${header}`, answer)
  }

  /** A 422 whose faults are at exactly these places, each written as `body.password`. */
  faults(what: string, answer: Answer, ...places: string[]) {
    const came = faultPlaces(answer)
    const fits =
      answer.status === 422 &&
      isDeepStrictEqual(came, [...places].toSorted()) &&
      isJson(answer) &&
      !answer.text.includes(ECHO)
    this.holds(what, fits, `422 with faults at ${places.join(', ')}, no input echoed`, answer)
  }

  message(what: string, answer: Answer, text: string, status = 200) {
    const fits = answer.status === status && isDeepStrictEqual(answer.body, { message: text })
    this.holds(what, fits && isJson(answer), `${status} {"message": "${text}"}`, answer)
  }

  /** An answer of exactly this shape, with these values among its fields. */
  shape(what: string, answer: Answer, shape: Shape, values: Record<string, unknown> = {}, status = 200) {
    const wrong = misfits(shape, answer.body)
    const body = isMap(answer.body) ? answer.body : {}
    for (const [key, value] of Object.entries(values))
      if (!isDeepStrictEqual(body[key], value)) wrong.push(`${key} = ${brief(value)}`)
    const fits = answer.status === status && wrong.length === 0 && isJson(answer)
    this.holds(
      what,
      fits,
      `${status}, JSON; not met: ${[...new Set(wrong)].join(', ') || 'status or type'}`,
      answer,
    )
  }
}

const challenges: Record<string, string> = {
  'Not authenticated': 'Bearer',
  'Could not validate credentials': 'Bearer error="invalid_token"',
}

/** The places of a 422, sorted and once each, or undefined where an entry has not exactly loc, msg and type. */
export function faultPlaces({ body }: Answer): string[] | undefined {
  if (!isMap(body) || !Array.isArray(body.detail)) return undefined
  if (body.code !== 'validation_error' || Object.keys(body).length !== 2) return undefined
  const places = new Set<string>()
  for (const entry of body.detail) {
    if (misfits(fault, entry).length > 0) return undefined
    places.add((entry as { loc: unknown[] }).loc.join('.'))
  }
  return [...places].toSorted()
}

const isText = (value: unknown) => typeof value === 'string' && value !== ''
const fault: Shape = {
  type: isText,
  msg: isText,
  loc: (value) => Array.isArray(value) && ['body', 'query', 'path'].includes(String(value[0])),
}

const isJson = (answer: Answer) => /^application\/json\b/.test(answer.headers['content-type'] ?? '')

function brief(value: unknown): string {
  const isAnswer = isMap(value) && 'headers' in value && 'text' in value
  const text = isAnswer
    ? `${String(value.status)} ${String(value.text)}   (${String(value.call)})`
    : (JSON.stringify(value) ?? String(value))
  return text.length > 400 ? `${text.slice(0, 400)}… (${text.length} characters)` : text
}
