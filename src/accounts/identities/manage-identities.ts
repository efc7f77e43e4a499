import { sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { SignedIn, SignedInApp } from '../../contract/contract.ts'
import { IdentityNotFound, UserNotFound } from '../../contract/errors.ts'
import { statement } from '../../database/statement.ts'
import { identities } from '../../database/tables.ts'
import { userExists } from '../users/last-superuser.ts'
import { removeOf, removeOwn } from '../users/remove-way-in.ts'

type SignedInRequest = FastifyRequest & SignedIn

interface Identity {
  readonly id: string
  readonly provider: string
  readonly email: string | null
  readonly created_at: Date
  readonly last_used_at: Date | null
}

/** The identities that sign oneself in: GET /users/me/identities. */
export const listIdentities =
  ({ db }: SignedInApp) =>
  async ({ user: { id } }: SignedInRequest) => ({ data: await db.run(findIdentities, { user: id }) })

const findIdentities = statement<{ user: string }, Identity>(
  'list identities',
  (v) => sql`
    select id, provider, email, created_at, last_used_at from ${identities}
    where user_id = ${v.user} and removed_at is null order by created_at, id`,
)

/** Those of any user: GET /users/{id}/identities, for superusers. @throws UserNotFound */
export function listIdentitiesOf({ db }: SignedInApp) {
  return async (user: string) => {
    const data = await db.run(findIdentities, { user })
    if (data.length === 0 && !(await userExists(db, user))) throw new UserNotFound()
    return { data }
  }
}

/** A removed one stays as a row, so that it does not join the account again by itself. */
const IDENTITY = {
  event: 'identity_removed',
  table: identities,
  isThere: sql`${identities.removed_at} is null`,
  remove: sql`update ${identities} set removed_at = now() from`,
  notFound: IdentityNotFound,
} as const

/** Removes an identity of one's own: DELETE /users/me/identities/{id}. @throws IdentityNotFound, LastWayIn */
export const removeIdentity = (app: SignedInApp) => removeOwn(app, IDENTITY)

/** Removes one of any user: DELETE /users/{id}/identities/{id}, for superusers. @throws IdentityNotFound */
export const removeIdentityOf = (app: SignedInApp) => removeOf(app, IDENTITY)
