import type { Static } from '@sinclair/typebox'
import { sql } from 'drizzle-orm'
import type { UserPublic } from '../../contract/contract.ts'

/** A user as answers show them. */
export type PublicUser = Static<typeof UserPublic>

/** What to select of `users`, or of a CTE that has its columns, for a PublicUser. */
export const publicColumns = sql.raw('id, email, is_active, is_superuser, is_verified, full_name, created_at')
