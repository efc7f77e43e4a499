import type { Cast } from './cast.ts'
import type { Check } from './check.ts'
import type { Client } from './client.ts'

/** What a row is given to walk with. */
export interface Context {
  check: Check
  client: Client
  api: Client['api']
  send: Client['send']
  cast: Cast
}

export interface Row {
  operation: string
  walk: (context: Context) => Promise<void>
}

export const BODY_LIMIT = 32 * 1024
export const UNKNOWN_ID = '00000000-0000-4000-8000-00000000dead'
export const FORBIDDEN_ROLE = "The user doesn't have enough privileges"

/** The same path with its last slash the other way. */
export function otherSlash(path: string) {
  const [route = '', query] = path.split('?')
  const other = route.endsWith('/') ? route.slice(0, -1) : `${route}/`
  return query === undefined ? other : `${other}?${query}`
}

/** Long enough for two rows not to be made in one millisecond. */
export const pause = async () => new Promise((done) => setTimeout(done, 5))
