import { ECHO, faultPlaces } from './check.ts'
import type { Answer, Call } from './client.ts'
import { FORBIDDEN_ROLE, BODY_LIMIT, otherSlash, type Context } from './context.ts'
import { wrong } from './wrong.ts'

/** Who is let in. The call may be wrong in path, query and body: who is asking is answered first. */
export async function guard(
  context: Context,
  role: 'user' | 'superuser',
  method: string,
  path: string,
  call: Call = {},
) {
  const { api, cast, check } = context
  check.error('401 without a token', await api(method, path, call), 401, 'Not authenticated')
  const garbage = await api(method, path, { ...call, as: { token: 'garbage' } })
  check.error('401 with a garbage token', garbage, 401, 'Could not validate credentials')
  const other = await api(method, otherSlash(path), call)
  check.error('the path answers with its last slash the other way', other, 401, 'Not authenticated')
  if (role === 'user') return
  const ordinary = await api(method, path, { ...call, as: await cast.ordinary() })
  check.error('403 for one who is no superuser, before 422', ordinary, 403, FORBIDDEN_ROLE)
}

/** What every route that takes JSON says to a body it cannot read. */
export async function bodyRules(
  { api, check }: Context,
  method: string,
  path: string,
  as?: Call['as'],
  optional = false,
) {
  const send = async (call: Call) => api(method, path, { as, ...call })
  check.error(
    '400 for JSON that does not parse',
    await send({ type: 'application/json', body: `{"${ECHO}": ` }),
    400,
  )
  check.error('415 for text/plain', await send({ type: 'text/plain', body: ECHO }), 415)
  check.error('415 for a form', await send({ form: { [ECHO]: ECHO } }), 415)
  check.error('413 over 32 KiB', await send({ json: { filler: 'x'.repeat(BODY_LIMIT) } }), 413)
  check.faults('422 for a list', await send({ json: [ECHO] }), 'body')
  check.faults('422 for null', await send({ json: null }), 'body')
  for (const type of ['application/json', 'text/plain', 'application/xml']) {
    const answer = await send({ type, body: '' })
    const places = faultPlaces(answer) ?? []
    const refused =
      answer.status === 422 && places.length > 0 && places.every((place) => /^body\b/.test(place))
    const expected = optional ? '200 or 422 in the body' : '422 in the body'
    check.holds(
      `an empty ${type} is no body`,
      refused || (optional && answer.status === 200),
      expected,
      answer,
    )
  }
}

/** Each wrong value, alone in an otherwise right body: 422 at that field. Half a surrogate pair: refused somehow. */
export async function fieldRules(
  { api, check }: Context,
  call: { method: string; path: string; as?: Call['as']; right: Record<string, unknown> },
  fields: Record<string, unknown[]>,
) {
  const send = async (field: string, value: unknown): Promise<Answer> =>
    api(call.method, call.path, { as: call.as, json: { ...call.right, [field]: value } })
  for (const [field, values] of Object.entries(fields)) {
    for (const value of values)
      check.faults(`${field}: ${told(value)} is 422`, await send(field, value), `body.${field}`)
    if (values === wrong.flag) continue
    check.status(
      `${field}: half a surrogate pair is refused`,
      await send(field, `${ECHO} \ud83e ok`),
      400,
      422,
    )
  }
}

/** skip and limit of a list: their limits, and nothing but whole numbers. */
export async function pageRules({ api, check }: Context, path: string, as: Call['as']) {
  const get = async (query: string) => api('GET', `${path}?${query}`, { as })
  for (const query of [`skip=${ECHO}`, 'skip=-1', 'skip=1.5', 'skip='])
    check.faults(`${query} is 422`, await get(query), 'query.skip')
  for (const query of [`limit=${ECHO}`, 'limit=0', 'limit=1001', 'limit=true'])
    check.faults(`${query} is 422`, await get(query), 'query.limit')
  check.faults('both faults in one answer', await get(`skip=${ECHO}&limit=0`), 'query.limit', 'query.skip')
  check.status('limit=1 and limit=1000 pass', await get('skip=0&limit=1000'), 200)
  check.holds(
    'a skip past 64 bits is no fault of the service',
    (await get('skip=9223372036854775808')).status < 500,
    'below 500',
    '5xx',
  )
}

function told(value: unknown) {
  const shown = JSON.stringify(value)
  return shown.length > 40 ? `${Array.from(String(value)).length} characters` : shown
}
