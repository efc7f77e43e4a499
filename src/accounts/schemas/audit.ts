import { Type } from '@sinclair/typebox'
import { Id, Text, Time, component, listQuery, operation } from '../../contract/contract.ts'
import { auditEvents } from '../../http/observe/events.ts'

const nullable = (schema: object) => Type.Unsafe<string | null>({ type: ['string', 'null'], ...schema })
const idOrNull = (description: string) => nullable({ format: 'uuid', description })
const event = Type.String({ enum: [...auditEvents], examples: ['password_changed'] })

export const AuditEventPublic = component(
  'AuditEventPublic',
  Type.Object({
    id: Id,
    at: Time,
    event: Type.String({ description: 'What was done.', examples: ['password_changed'] }),
    outcome: Type.String({ description: '`success` or `failure`.', examples: ['success'] }),
    reason: nullable({ description: 'Why it failed.', examples: [null] }),
    actor_id: idOrNull('Who did it, where somebody was signed in.'),
    subject_id: idOrNull('Whose account it is, where that is known. It stays when the account is deleted.'),
    session_id: idOrNull('In which session, or the one that it is about.'),
    api_key_id: idOrNull('With which API key.'),
    ip: nullable({ description: 'From which network address.', examples: ['203.0.113.7'] }),
    request_id: nullable({ description: 'The `X-Request-Id` of the answer, as log lines have it.' }),
    details: Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      additionalProperties: true,
      description: 'More of some events, such as the names of changed fields; never a value.',
      examples: [{ changed: ['full_name'] }],
    }),
  }),
)
export const AuditEventsPublic = component(
  'AuditEventsPublic',
  Type.Object({
    data: Type.Array(AuditEventPublic),
    next_cursor: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      description:
        'Goes on with the next page, as `cursor`; null at the end. A search may stop before a page is full.',
      examples: [null],
    }),
  }),
)

const { limit, cursor } = listQuery(undefined, ['created_at']).properties
const time = (description: string) =>
  Type.Optional(Type.String({ format: 'date-time', description, examples: ['2026-11-23T10:15:00Z'] }))

export const readAudit = operation({
  operationId: 'audit-read_audit',
  summary: 'List what was done to accounts',
  description: 'Newest first. Rows are kept for a year, or what the service sets (AUDIT_RETENTION_DAYS).',
  querystring: Type.Object({
    limit,
    cursor,
    q: Type.Optional(
      Text(255, 0, { description: 'Only rows with this text in event, reason, address or request id.' }),
    ),
    event: Type.Optional({ ...event, description: 'Only of this kind.' }),
    user: Type.Optional({
      ...Id,
      description: 'Only what this user did, or what was done to their account.',
    }),
    from: time('Only at this time or later.'),
    to: time('Only before this time.'),
  }),
  permission: 'audit:read',
  response: { 200: AuditEventsPublic },
})
export const readActivity = operation({
  operationId: 'users-read_activity_me',
  summary: 'List what was done to my account',
  description: 'Newest first. Of what a superuser did it does not say from where.',
  querystring: Type.Object({ limit, cursor }),
  response: { 200: AuditEventsPublic },
})
