import type { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import { UserPublic, component, operation } from '../../contract/contract.ts'
import { ApiKeyPublic } from './api-keys.ts'
import { AuditEventPublic } from './audit.ts'
import { FactorPublic } from './factors.ts'
import { IdentityPublic } from './identities.ts'
import { PasskeyPublic } from './passkeys.ts'
import { SessionPublic } from './sessions.ts'

export const AccountExport = component(
  'AccountExport',
  Type.Object({
    user: UserPublic,
    sessions: Type.Array(SessionPublic),
    factors: Type.Array(FactorPublic),
    passkeys: Type.Array(PasskeyPublic),
    identities: Type.Array(IdentityPublic),
    api_keys: Type.Array(ApiKeyPublic),
    activity: Type.Array(AuditEventPublic),
    resources: Type.Unsafe<Record<string, object[]>>({
      type: 'object',
      description: 'Rows of each resource that are mine, by its name.',
      additionalProperties: { type: 'array', items: { type: 'object' } },
    }),
  }),
)

export const exportAccount = operation({
  operationId: 'users-export_account',
  summary: 'Get all of my data',
  description:
    'One file with everything that the service keeps about me and that is mine, without secrets: the account, how it is signed in to, what was done to it, and my rows of every resource, newest first.',
  fresh: true,
  // Sent while it is written.
  response: { 200: Type.Unsafe<Readable>(AccountExport) },
})
