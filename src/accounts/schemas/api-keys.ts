import { Type } from '@sinclair/typebox'
import { Id, Message, Text, Time, component, operation } from '../../contract/contract.ts'
import { ApiKeyNotFound, TooManyApiKeys, UserNotFound } from '../../contract/errors.ts'

const name = Text(255, 1, { examples: ['Nightly export'] })
const permissions = Type.Array(Text(255, 1), {
  minItems: 1,
  maxItems: 100,
  description:
    'What it may do, as the `x-permission` of each operation names it. One that writes does not bring the one that reads.',
  examples: [['users:read']],
})
const timeOrNull = (description: string) =>
  Type.Unsafe<Date | null>({ type: ['string', 'null'], format: 'date-time', description, examples: [null] })

const properties = {
  id: Id,
  name,
  permissions: Type.Array(Type.String(), { examples: [['users:read']] }),
  created_at: Time,
  expires_at: timeOrNull('When it stops working; null where it does not by itself.'),
  last_used_at: timeOrNull('Right to the minute.'),
}

export const ApiKeyPublic = component('ApiKeyPublic', Type.Object(properties))
export const ApiKeysPublic = component('ApiKeysPublic', Type.Object({ data: Type.Array(ApiKeyPublic) }))
export const ApiKeyCreate = component(
  'ApiKeyCreate',
  Type.Object({
    name,
    permissions,
    expires_at: Type.Optional(
      Type.Unsafe<string | null>({
        type: ['string', 'null'],
        format: 'date-time',
        description: 'A time to come; without one it does not expire.',
        examples: [null],
      }),
    ),
  }),
)
export const ApiKeyCreated = component(
  'ApiKeyCreated',
  Type.Object({
    ...properties,
    key: Type.String({ description: 'For the header `Authorization: Bearer gw_…`. Not shown again.' }),
  }),
)

const user_id = { ...Id, description: 'Which user.' }
const id = { ...Id, description: 'Which API key.' }

export const createApiKey = operation({
  operationId: 'users-create_api_key',
  summary: 'Make an API key',
  description: 'For programs: it acts as me, as far as its permissions go. I have 50 at most.',
  body: ApiKeyCreate,
  fresh: true,
  response: { 200: ApiKeyCreated },
  errors: [TooManyApiKeys],
})
export const readApiKeys = operation({
  operationId: 'users-read_api_keys',
  summary: 'List my API keys',
  description: 'Newest first, without the keys themselves.',
  response: { 200: ApiKeysPublic },
})
export const deleteApiKey = operation({
  operationId: 'users-delete_api_key',
  summary: 'Delete an API key of mine',
  description: 'It stops working at once.',
  params: Type.Object({ id }),
  fresh: true,
  response: { 200: Message },
  errors: [ApiKeyNotFound],
})
export const readApiKeysOf = operation({
  operationId: 'users-read_user_api_keys',
  summary: 'List a user’s API keys',
  description: 'Newest first, without the keys themselves.',
  params: Type.Object({ user_id }),
  response: { 200: ApiKeysPublic },
  errors: [UserNotFound],
})
export const deleteApiKeyOf = operation({
  operationId: 'users-delete_user_api_key',
  summary: 'Delete a user’s API key',
  description: 'It stops working at once, and its owner is told by mail.',
  params: Type.Object({ user_id, id }),
  fresh: true,
  response: { 200: Message },
  errors: [ApiKeyNotFound],
})
