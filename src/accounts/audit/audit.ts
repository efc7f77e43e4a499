import { type SQL, sql } from 'drizzle-orm'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { statement } from '../../database/statement.ts'
import { auditEvents } from '../../database/tables.ts'
import type { AuditEvent } from '../../http/observe/events.ts'
import { type Client, clientOf } from '../sessions/client.ts'

/**
 * The audit: what was done to accounts, by whom and from where. What succeeded is written by the statement that did it, so that
 * there is never one without the other; what failed, by a statement of its own. Ids stay when an account is deleted; addresses
 * never get in.
 */

/** Who causes a statement, and from where: values of each one that has an `audit` in it. */
export interface Trail extends Client {
  readonly request_id: string
  /** The signed-in user; null where nobody is. */
  readonly actor_id: string | null
  readonly actor_session_id: string | null
  readonly actor_key_id: string | null
}

/** The same as parameters of a statement. */
export type TrailParameters = Readonly<Record<keyof Trail, SQL>>

export const trailOf = (request: FastifyRequest): Trail => ({
  ...clientOf(request),
  request_id: request.id,
  actor_id: request.currentUser?.id ?? null,
  actor_session_id: request.currentUser?.session_id || null, // empty for an API key
  actor_key_id: request.currentUser?.api_key?.id ?? null,
})

/** Of a row, beside its event. Expressions may name columns of `from`. */
interface AuditParts {
  /** Whose account it is; `id` where left out. */
  readonly subject?: SQL
  /** Who did it, where that is not whoever is signed in. */
  readonly actor?: SQL
  /** Which session it is about, where that is not the one of the request. */
  readonly session?: SQL
  /** Which API key it is about, where that is not the one of the request. */
  readonly apiKey?: SQL
  /** Expression of JSON. */
  readonly details?: SQL
  /** Why it failed. Without one, it succeeded. */
  readonly reason?: string
}

/**
 * `audit_<event>`: a row for each row of the CTE `from`.
 *
 * @param v the statement's parameters, those of a Trail among them
 */
export function audit(event: AuditEvent, from: string, v: TrailParameters, parts: AuditParts = {}): SQL {
  const { subject = sql`id`, actor = v.actor_id, session = v.actor_session_id } = parts
  const { apiKey = v.actor_key_id, reason } = parts
  const { details = sql`'{}'::jsonb` } = parts
  return sql`${sql.raw(`audit_${event}`)} as (
      insert into ${auditEvents} (event, outcome, reason, actor_id, subject_id, session_id, api_key_id, ip, request_id, details)
      select ${text(event)}, ${text(reason === undefined ? 'success' : 'failure')}, ${reason === undefined ? sql`null` : text(reason)},
        ${actor}::uuid, ${subject}, ${session}::uuid, ${apiKey}::uuid, ${v.ip_address}::text, ${v.request_id}::text, ${details}
      from ${sql.raw(from)}
    )`
}

const text = (literal: string) => sql.raw(`'${literal}'`)

/** What failed, and why. */
interface Failure {
  /** Whose account it is, where that is known. */
  readonly user_id?: string | undefined
  readonly reason: string
}

/**
 * Logs that something failed, and adds a row of it. To be called behind limits only: strangers must not fill the table.
 */
export function auditFailures({ db }: Pick<FastifyInstance, 'db'>) {
  return async (event: AuditEvent, { user_id, reason }: Failure, request: FastifyRequest) => {
    request.record(event, { ...(user_id !== undefined && { user_id }), reason })
    await db.run(addFailure, { ...trailOf(request), event, reason, subject: user_id ?? null })
  }
}

const addFailure = statement<Trail & { event: string; reason: string; subject: string | null }>(
  'audit failure',
  (v) => sql`
    insert into ${auditEvents} (event, outcome, reason, actor_id, subject_id, session_id, ip, request_id)
    values (
      ${v.event}, 'failure', ${v.reason}, ${v.actor_id}, coalesce(${v.subject}::uuid, ${v.actor_id}::uuid),
      ${v.actor_session_id}, ${v.ip_address}, ${v.request_id}
    )`,
)
