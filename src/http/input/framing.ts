import plugin from 'fastify-plugin'
import { BadRequest } from '../../contract/errors.ts'

/**
 * Headers about framing, host and credentials. If one comes twice, a proxy may have used the other value (request
 * smuggling): Node keeps the first of most, and joins Transfer-Encoding.
 */
const ONCE = ['authorization', 'content-length', 'content-type', 'host', 'transfer-encoding']
const AUTHORIZATION = 1 << ONCE.indexOf('authorization')
/** Compared first, as most headers have another length. */
const LENGTHS = new Set(ONCE.map(({ length }) => length))

/** Characters of a host and a port (RFC 3986, 3.2.2 and 3.2.3). */
const HOST = /^[\w.~!$&'()*+,;=:%[\]-]*$/

/** Refuses requests that a proxy and this service could read differently (RFC 9112, 3.2 and 11.2). */
export const framing = plugin(
  (app, _options, done) => {
    app.addHook('onRequest', ({ raw }, _reply, next) => {
      const { headers, rawHeaders, httpVersion } = raw
      const { host } = headers
      const isWhole = host === undefined ? httpVersion !== '1.1' : HOST.test(host)
      const twice = repeated(rawHeaders)
      // Joined into one field (RFC 9110, 5.3), it is no valid token: 401 on routes that need one.
      if (twice & AUTHORIZATION) headers.authorization += ', and another'
      next(isWhole && (twice & ~AUTHORIZATION) === 0 ? undefined : new BadRequest())
    })
    done()
  },
  { name: 'framing', dependencies: ['errors'] },
)

/**
 * @param rawHeaders names and values in turn
 * @returns a bit for each name of ONCE that comes twice
 */
function repeated(rawHeaders: readonly string[]): number {
  let [seen, twice] = [0, 0]
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const header = rawHeaders[at]!
    if (!LENGTHS.has(header.length)) continue
    const place = ONCE.indexOf(header.toLowerCase())
    if (place === -1) continue
    twice |= seen & (1 << place)
    seen |= 1 << place
  }
  return twice
}
