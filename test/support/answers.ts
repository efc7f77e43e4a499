import type { Test } from 'tap'
import { errorBody } from './errors.ts'
import type { Answer } from './service.ts'

/** The answer is exactly this; text stands for an error's body. (`t.match` would take a part of a text for it.) */
export const isAnswer = (
  t: Test,
  { status, body }: Answer,
  code: number,
  expected: unknown,
  message = `is ${code}`,
) =>
  t.strictSame(
    { status, body },
    { status: code, body: typeof expected === 'string' ? errorBody(expected) : expected },
    message,
  )

/** The answer is 422 and complains about exactly these places, such as `body.password`. */
export function isRefused(t: Test, { status, body }: Answer, places: readonly string[], message = 'is 422') {
  const faults = Array.isArray(body?.detail) ? (body.detail as { loc: unknown[] }[]) : []
  const named = faults.map(({ loc }) => loc.join('.')).toSorted()
  return t.strictSame(
    { status, code: body?.code as unknown, places: named },
    { status: 422, code: 'validation_error', places: places.toSorted() },
    message,
  )
}

/** Nobody is let in without a token, and the answer says how to sign in (RFC 6750, section 3). */
export function asksForToken(t: Test, answer: Answer, message = 'is 401') {
  isAnswer(t, answer, 401, 'Not authenticated', message)
  t.equal(answer.headers['www-authenticate'], 'Bearer', message)
}

/** The token that was sent is worth nothing. */
export function refusesToken(t: Test, answer: Answer, message = 'is 401') {
  isAnswer(t, answer, 401, 'Could not validate credentials', message)
  t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"', message)
}
