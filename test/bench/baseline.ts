import { createHash, randomUUID } from 'node:crypto'
import jwt from '@fastify/jwt'
import fastify, { type FastifyRequest, LogController } from 'fastify'
import postgres from 'postgres'

/**
 * What the service is measured against: the same five routes by hand, in one file and as fast as it gets. Fastify,
 * postgres.js, the same check of token, session and user, the same SQL, the same schemas; the same headers, as
 * constants; the same line of log a request. No errors of the contract, no layers, no document.
 */

/**
 * In turn, each a client of its own: in one of several connections, postgres.js 3.4.9 keeps a list of those that are busy
 * which only grows, and looks through all of it for each statement.
 */
const connections = Array.from({ length: 10 }, () =>
  postgres(process.env.DATABASE_URL!, { max: 1, onnotice: () => undefined }),
)
let turn = 0
const sql = ((...statement: Parameters<postgres.Sql>) =>
  connections[(turn = (turn + 1) % connections.length)]!(...statement)) as postgres.Sql
const app = fastify({
  logger: true,
  logController: new LogController({ disableRequestLogging: true }),
  keepAliveTimeout: 72_000,
  genReqId: () => randomUUID(),
  routerOptions: { ignoreTrailingSlash: true },
  ajv: { customOptions: { coerceTypes: false } },
})
await app.register(jwt, {
  secret: process.env.SECRET_KEY!,
  verify: { algorithms: ['HS256'], requiredClaims: ['sub', 'sid', 'iat', 'exp'] },
})

interface User {
  id: string
  is_superuser: boolean
  session_id: string
  session_idle: boolean
}
declare module 'fastify' {
  interface FastifyRequest {
    asker: User
  }
}

const uuid = { type: 'string', format: 'uuid' }
const text = { type: 'string' }
const time = { type: 'string', format: 'date-time' }
const flag = { type: 'boolean' }
const textOrNull = { type: ['string', 'null'] }
const object = (properties: Record<string, object>) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
})
const item = object({ id: uuid, title: text, description: textOrNull, owner_id: uuid, created_at: time })
const page = object({
  data: { type: 'array', items: item },
  count: { type: 'integer' },
  next_cursor: textOrNull,
})
const user = object({
  id: uuid,
  email: text,
  is_active: flag,
  is_superuser: flag,
  is_verified: flag,
  full_name: textOrNull,
  created_at: time,
})
const title = { type: 'string', minLength: 1, maxLength: 255 }
const description = { type: ['string', 'null'], maxLength: 255 }

const headers = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'cross-origin',
  'origin-agent-cluster': '?1',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'SAMEORIGIN',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
}

async function authenticate(request: FastifyRequest): Promise<User | undefined> {
  const authorization = request.headers.authorization ?? ''
  if (!authorization.startsWith('Bearer ')) return undefined
  let claims: { sub: string; sid: string }
  try {
    claims = app.jwt.verify(authorization.slice(7))
  } catch {
    return undefined
  }
  const [found] = await sql<User[]>`
    select users.id, email, is_active, is_superuser, is_verified, full_name, users.created_at,
      sessions.id as session_id, last_used_at < now() - interval '1 minute' as session_idle
    from sessions inner join users on users.id = user_id
    where sessions.id = ${claims.sid} and users.id = ${claims.sub} and is_active
      and sessions.credentials_version = users.credentials_version and expires_at > now()`
  return found
}

app.decorateRequest('asker')
app.addHook('onRequest', async (request, reply) => {
  reply.headers(headers)
  reply.header('x-request-id', request.id)
  if (request.routeOptions.url === '/health/ready') return
  const asker = await authenticate(request)
  if (!asker) throw Object.assign(new Error('Could not validate credentials'), { statusCode: 401 })
  request.asker = asker
})
app.addHook('onResponse', (request, reply, done) => {
  const { asker } = request
  reply.log.info({ req: request, res: reply, responseTime: reply.elapsedTime }, 'request completed')
  if (asker?.session_idle)
    sql`update sessions set last_used_at = now() where id = ${asker.session_id} and last_used_at < now() - interval '1 minute'`.catch(
      () => undefined,
    )
  done()
})

app.get('/health/ready', async () => ({ status: (await sql`select 1`).length }))

app.get('/api/v1/users/me', { schema: { response: { 200: user } } }, async (request) => request.asker)

const querystring = {
  type: 'object',
  properties: {
    skip: { type: 'string', pattern: '^\\d+$', default: '0' },
    limit: { type: 'string', pattern: '^\\d+$', default: '100' },
  },
}
type Query = { Querystring: { skip: string; limit: string } }
interface Found {
  count: number
  id: string | null
  created_at: Date
}
const search = createHash('sha256').update('').digest('base64url').slice(0, 8)
const cursorOf = ({ created_at, id }: Found) =>
  Buffer.from(JSON.stringify(['-created_at', search, created_at.toISOString(), id])).toString('base64url')

app.get<Query>('/api/v1/items/', { schema: { querystring, response: { 200: page } } }, async (request) => {
  const { asker } = request
  const { skip } = request.query
  const limit = Number(request.query.limit)
  const rows = asker.is_superuser
    ? await sql<Found[]>`
      select total.count, page.*
      from (
        select case when reltuples > 200000 then reltuples::int
          else (select count(*)::int from (select from items limit 100001) counted) end as count
        from pg_class where oid = 'items'::regclass
      ) total
      left join (
        select id, title, description, owner_id, created_at from items
        order by created_at desc, id desc limit ${limit + 1} offset ${skip}
      ) page on true order by created_at desc, id desc`
    : await sql<Found[]>`
      select total.count, page.*
      from (select count(*)::int as count from items where owner_id = ${asker.id}) total
      left join (
        select id, title, description, owner_id, created_at from items where owner_id = ${asker.id}
        order by created_at desc, id desc limit ${limit + 1} offset ${skip}
      ) page on true order by created_at desc, id desc`
  const { count, id } = rows[0]!
  const next_cursor = rows.length > limit ? cursorOf(rows[limit - 1]!) : null
  return { data: id === null ? [] : rows.slice(0, limit), count, next_cursor }
})

const params = { type: 'object', properties: { id: uuid } }
type Id = { Params: { id: string } }
interface Item {
  owner_id: string
  version: string
}

app.get<Id>('/api/v1/items/:id', { schema: { params, response: { 200: item } } }, async (request, reply) => {
  const [row] = await sql<Item[]>`
    select id, title, description, owner_id, created_at, xmin::text as version from items where id = ${request.params.id}`
  if (!row) return reply.code(404).send({ detail: 'Item not found' })
  if (row.owner_id !== request.asker.id && !request.asker.is_superuser)
    return reply.code(403).send({ detail: 'Not enough permissions' })
  reply.header('etag', `"${row.version}"`)
  return row
})

const creation = { type: 'object', properties: { title, description }, required: ['title'] }
type Creation = { Body: { title: string; description?: string | null } }

app.post<Creation>(
  '/api/v1/items/',
  { schema: { body: creation, response: { 200: item } } },
  async ({ body, asker }, reply) => {
    const [row] = await sql<Item[]>`
      insert into items (title, description, owner_id)
      values (${body.title}, ${body.description ?? null}, ${asker.id})
      returning id, title, description, owner_id, created_at, xmin::text as version`
    reply.header('etag', `"${row!.version}"`)
    return row
  },
)

const changes = { type: 'object', properties: { title, description } }
type Changes = Id & { Body: { title?: string; description?: string | null } }

app.put<Changes>(
  '/api/v1/items/:id',
  { schema: { params, body: changes, response: { 200: item } } },
  async ({ params: { id }, body, asker }, reply) => {
    const [found] = await sql<(Item & { written: string | null })[]>`
      with written as (
        update items set
          title = case when ${body.title !== undefined}::boolean then ${body.title ?? null} else title end,
          description = case when ${body.description !== undefined}::boolean
            then ${body.description ?? null} else description end
        where id = ${id} and (owner_id = ${asker.id} or ${asker.is_superuser}::boolean)
        returning id, title, description, owner_id, created_at, xmin::text as version
      )
      select items.owner_id as owner, written.* from items left join written on true where items.id = ${id}`
    if (!found) return reply.code(404).send({ detail: 'Item not found' })
    if (found.owner_id === null) return reply.code(403).send({ detail: 'Not enough permissions' })
    reply.header('etag', `"${found.version}"`)
    return found
  },
)

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
process.once('SIGTERM', () => process.exit())
