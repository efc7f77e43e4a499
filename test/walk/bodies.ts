import { ECHO } from './check.ts'
import { BODY_LIMIT, type Row } from './context.ts'
import { itemPublic } from './shapes.ts'

/** What holds for all bodies: which answer comes first, sizes, encodings. */
export const bodies: Row[] = [
  {
    operation: 'order and bodies',
    async walk({ api, cast, check, send }) {
      const ada = await cast.ordinary()
      const bodies = {
        'JSON that does not parse': '{',
        'a body over 32 KiB': JSON.stringify('x'.repeat(BODY_LIMIT)),
      }
      for (const [what, body] of Object.entries(bodies)) {
        const call = { type: 'application/json', body }
        check.error(`401 comes before ${what}`, await api('POST', '/items/', call), 401, 'Not authenticated')
        const role = await api('POST', '/users/', { ...call, as: ada })
        check.error(
          `403 of the role comes before ${what}`,
          role,
          403,
          "The user doesn't have enough privileges",
        )
      }
      const faulty = { type: 'text/plain', body: ECHO }
      check.error('401 comes before 415', await api('POST', '/items/', faulty), 401, 'Not authenticated')
      check.error(
        '415 comes before 422 of the path',
        await api('PUT', `/items/${ECHO}`, { ...faulty, as: ada }),
        415,
      )
      const sized = (bytes: number) => `{"title":"T","filler":"${'x'.repeat(bytes - 25)}"}`.padEnd(bytes)
      const post = async (body: string, chunked = false) =>
        api('POST', '/items/', { as: ada, type: 'application/json; charset=utf-8', body, chunked })
      check.shape('32 KiB to the byte passes', await post(sized(BODY_LIMIT)), itemPublic, { title: 'T' })
      check.error('one byte more does not', await post(sized(BODY_LIMIT + 1)), 413)
      check.error('nor without a Content-Length', await post(sized(BODY_LIMIT + 1), true), 413)
      check.shape('a chunked body', await post('{"title":"T"}', true), itemPublic)
      check.status('an empty chunked body', await post('', true), 422)
      const proto = '{"title":"T","__proto__":{"a":1},"constructor":{"prototype":{"a":1}}}'
      check.error('__proto__ is refused', await post(proto), 400)
      check.error('a path that does not decode', await send('GET', '/api/v1/items/%ZZ', { as: ada }), 400)
    },
  },
]
