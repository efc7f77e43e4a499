import { type SQL, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../../contract/contract.ts'
import {
  ApiKeyNotFound,
  InvalidCredentials,
  InvalidInput,
  TooManyApiKeys,
  UserNotFound,
} from '../../contract/errors.ts'
import { arrayOf } from '../../database/columns.ts'
import { statement } from '../../database/statement.ts'
import { apiKeys, users } from '../../database/tables.ts'
import { byAdministrator, cause, notify } from '../../mail/queue.ts'
import { type Trail, type TrailParameters, audit, trailOf } from '../audit/audit.ts'
import { stillHas } from '../sessions/end-sessions.ts'
import { userExists } from '../users/last-superuser.ts'
import { hashOfKey, newKey } from './key.ts'
import { afterLock } from '../users/lock-user.ts'

type SignedInRequest = FastifyRequest & SignedIn

/** Of one user. */
const MOST_KEYS = 50

interface NewApiKey {
  readonly name: string
  readonly permissions: readonly string[]
  /** RFC 3339. */
  readonly expires_at?: string | null | undefined
}

interface ApiKey {
  readonly id: string
  readonly name: string
  readonly permissions: string[]
  readonly created_at: Date
  readonly expires_at: Date | null
  readonly last_used_at: Date | null
}

/**
 * Makes an API key: POST /users/me/api-keys.
 *
 * @returns what does so, and gives the key, which is not shown again. @throws InvalidInput for a permission that no operation
 *   has, or a time that is over; TooManyApiKeys; InvalidCredentials where the session ended meanwhile
 */
export function createApiKey(app: SignedInApp) {
  const { config, db, permissions: known } = app
  const add = compileAdd(config)

  return async ({ name, permissions, expires_at = null }: NewApiKey, request: SignedInRequest) => {
    const unknown = permissions.findIndex((permission) => !known.has(permission))
    if (unknown >= 0)
      throw new InvalidInput(['body', 'permissions', unknown], 'No operation has this permission')
    const expires = expires_at === null ? null : new Date(expires_at)
    if (expires && (expires.getTime() <= Date.now() || expires.getUTCFullYear() > 9999))
      throw new InvalidInput(['body', 'expires_at'], 'Value should be a time to come')
    const { id: user, session_id: session } = request.user
    const key = newKey()
    const values = {
      user,
      session,
      name,
      hash: hashOfKey(key)!,
      permissions: arrayOf([...new Set(permissions)]),
      expires_at: expires?.toISOString() ?? null,
      ...trailOf(request),
    }
    const [row] = await afterLock(db, user, (transaction) => transaction.run(add, values))
    if (!row) throw new InvalidCredentials()
    const { id } = row
    if (id === null) throw new TooManyApiKeys()
    request.record('api_key_created')
    app.mail.wake()
    return { ...shown({ ...row, id }), key }
  }
}

interface Values extends Trail {
  readonly user: string
  readonly session: string
  readonly name: string
  readonly hash: string
  /** As PostgreSQL writes an array. */
  readonly permissions: string
  readonly expires_at: string | null
}

/** As a statement gives it. */
type Row = Omit<ApiKey, 'permissions'> & { readonly permission_list: string }

const shown = ({ permission_list, ...row }: Row): ApiKey => ({
  ...row,
  permissions: permission_list.split(' ').filter(Boolean),
})

const columns = sql.raw(
  `id, name, array_to_string(permissions, ' ') as permission_list, created_at, expires_at, last_used_at`,
)

/** No row where the session has ended; one without an id where there are too many keys. */
const compileAdd = (config: SignedInApp['config']) =>
  statement<Values, Omit<Row, 'id'> & { readonly id: string | null }>(
    'add API key',
    (v) => sql`
    with owner as (
      select id, email, is_verified from ${users} where id = ${v.user} and ${stillHas(v.session)} for no key update
    ),
    added as (
      insert into ${apiKeys} (user_id, name, hash, permissions, expires_at)
      select id, ${v.name}, ${v.hash}, ${v.permissions}::text[], ${v.expires_at}::timestamptz from owner
      where (select count(*) from ${apiKeys} where user_id = ${v.user}) < ${sql.raw(String(MOST_KEYS))}
      returning *
    ),
    told as (
      select owner.* from owner, added
    ),
    ${audit('api_key_created', 'added', v, { subject: sql`user_id`, apiKey: sql`id` })},
    ${notify('way_in_changed', 'told', config, sql`${cause(v)} || '{"what": "api_key_created"}'::jsonb`)}
    select added.id, name, array_to_string(permissions, ' ') as permission_list, created_at, expires_at, last_used_at
    from owner left join added on true`,
  )

/** One's own API keys, never the keys themselves: GET /users/me/api-keys. */
export function listApiKeys({ db }: SignedInApp) {
  return async ({ user: { id } }: SignedInRequest) => ({
    data: (await db.run(findKeys, { user: id })).map(shown),
  })
}

/**
 * Those of any user: GET /users/{id}/api-keys, for superusers.
 *
 * @returns what reads them. @throws UserNotFound
 */
export function listApiKeysOf({ db }: SignedInApp) {
  return async (user: string) => {
    const found = await db.run(findKeys, { user })
    if (found.length === 0 && !(await userExists(db, user))) throw new UserNotFound()
    return { data: found.map(shown) }
  }
}

const findKeys = statement<{ user: string }, Row>(
  'list API keys',
  (v) => sql`select ${columns} from ${apiKeys} where user_id = ${v.user} order by created_at desc, id desc`,
)

/**
 * Deletes an API key of one's own: DELETE /users/me/api-keys/{id}. It stops working at once.
 *
 * @returns what does so. @throws ApiKeyNotFound
 */
export function deleteApiKey(app: SignedInApp) {
  const remove = compileRemove(app.config, 'own', cause)
  return (id: string, request: SignedInRequest) =>
    removeBy(app, remove, { id, user: request.user.id, ...trailOf(request) }, request)
}

/**
 * Deletes one of any user: DELETE /users/{id}/api-keys/{id}, for superusers.
 *
 * @returns what does so. @throws ApiKeyNotFound
 */
export function deleteApiKeyOf(app: SignedInApp) {
  const remove = compileRemove(app.config, 'of a user', () => byAdministrator)
  return (user: string, id: string, request: SignedInRequest) =>
    removeBy(app, remove, { id, user, ...trailOf(request) }, request)
}

async function removeBy(
  { db, mail }: SignedInApp,
  remove: ReturnType<typeof compileRemove>,
  values: Trail & { id: string; user: string },
  request: FastifyRequest,
) {
  const [removed] = await db.run(remove, values)
  if (!removed) throw new ApiKeyNotFound()
  request.record('api_key_deleted', { user_id: removed.user_id })
  mail.wake()
}

type Cause = (v: TrailParameters) => SQL

const compileRemove = (config: SignedInApp['config'], whose: string, causeOf: Cause) =>
  statement<Trail & { id: string; user: string }, { user_id: string }>(
    `delete API key: ${whose}`,
    (v) => sql`
    with removed as (
      delete from ${apiKeys} where id = ${v.id} and user_id = ${v.user} returning id, user_id
    ),
    owner as (
      select ${users.id}, ${users.email}, ${users.is_verified} from ${users} join removed on removed.user_id = ${users.id}
    ),
    ${audit('api_key_deleted', 'removed', v, { subject: sql`user_id`, apiKey: sql`id` })},
    ${notify('way_in_changed', 'owner', config, sql`${causeOf(v)} || '{"what": "api_key_deleted"}'::jsonb`)}
    select user_id from removed`,
  )
