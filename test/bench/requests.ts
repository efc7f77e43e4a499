import type { Request } from 'autocannon'
import type { World } from './world.ts'

/** The requests that are measured, and who sends them. */
export interface Route {
  readonly name: string
  /** Those of one connection, sent in turn. */
  requests(world: World, connection: number): Request[]
}

const api = '/api/v1'
const body = JSON.stringify({ title: 'Analytical Engine', description: 'Notes on the engine' })

const read = (
  name: string,
  path: (world: World) => string,
  who: 'reader' | 'superuser' = 'reader',
): Route => ({
  name,
  requests: (world) => [{ method: 'GET', path: `${api}${path(world)}`, headers: world[who].headers }],
})

/** Every connection writes as somebody else, as people do. */
const writer = ({ writers }: World, connection: number) => writers[connection % writers.length]!

export const list = read('GET /items/?limit=20', () => '/items/?limit=20')
export const one = read('GET /items/{id}', ({ reader }) => `/items/${reader.items[0]}`)
export const me = read('GET /users/me', () => '/users/me')
export const create: Route = {
  name: 'POST /items/',
  requests(world, connection) {
    return [{ method: 'POST', path: `${api}/items/`, headers: writer(world, connection).headers, body }]
  },
}
export const change: Route = {
  name: 'PUT /items/{id}',
  requests(world, connection) {
    const { headers, items } = writer(world, connection)
    return items.map((id) => ({ method: 'PUT', path: `${api}/items/${id}`, headers, body }))
  },
}
export const everybodys = read("GET /items/?limit=20, a superuser's", () => '/items/?limit=20', 'superuser')

export const routes: readonly Route[] = [list, one, me, create, change]

/**
 * The superuser's last page, found by following next_cursor with the largest pages; undefined where lists have none.
 */
export async function fromCursor(url: string, { superuser }: World): Promise<Route | undefined> {
  let cursor: string | undefined
  for (;;) {
    const query = new URLSearchParams({ limit: '1000', ...(cursor !== undefined && { cursor }) })
    const answer = await fetch(`${url}${api}/items/?${query.toString()}`, { headers: superuser.headers })
    const { next_cursor: next } = (await answer.json()) as { next_cursor?: string | null }
    if (next === undefined) return undefined
    if (next === null) break
    cursor = next
  }
  return read(
    'the last page',
    () => `/items/?limit=20&cursor=${encodeURIComponent(cursor ?? '')}`,
    'superuser',
  )
}
