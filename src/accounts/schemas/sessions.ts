import { Type } from '@sinclair/typebox'
import { Id, Message, PageQuery, Time, component, operation, pageOf } from '../../contract/contract.ts'
import { SessionNotFound } from '../../contract/errors.ts'

const nullable = (description: string, example: string) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], description, examples: [example] })

export const SessionPublic = component(
  'SessionPublic',
  Type.Object({
    id: Id,
    created_at: Time,
    last_used_at: Time,
    expires_at: Time,
    authenticated_at: {
      ...Time,
      description:
        'When its user last showed who they are: at the sign-in, or by POST /login/reauthenticate.',
    },
    methods: Type.Array(Type.String(), {
      description:
        'How: `pwd`, `otp`, `recovery`, `passkey`, `oidc`, `link`, or `template` (to the FastAPI template, before its database was adopted); more may come.',
      examples: [['pwd']],
    }),
    user_agent: nullable('As the program that signed in named itself.', 'Mozilla/5.0 (X11; Linux x86_64)'),
    ip_address: nullable('The network address that signed in.', '203.0.113.7'),
    is_current: Type.Boolean({ description: 'Whether the access token of the request is of this session.' }),
  }),
)
export const SessionsPublic = component('SessionsPublic', pageOf(SessionPublic))

const params = Type.Object({ session_id: { ...Id, description: 'Which session of mine.' } })

export const readSessions = operation({
  operationId: 'users-read_sessions_me',
  summary: 'List my sessions',
  description:
    'Where I am signed in, newest first. There are 100 at most: one more sign-in ends the oldest. `last_used_at` is right to the minute.',
  querystring: PageQuery,
  response: { 200: SessionsPublic },
})
export const deleteSession = operation({
  operationId: 'users-delete_session_me',
  summary: 'End a session of mine',
  description: 'Its access and refresh tokens stop working at once.',
  params,
  response: { 200: Message },
  errors: [SessionNotFound],
})
export const deleteSessions = operation({
  operationId: 'users-delete_sessions_me',
  summary: 'End my other sessions',
  description: 'All but the one that asks.',
  response: { 200: Message },
})
