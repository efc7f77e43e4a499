import { Type } from '@sinclair/typebox'
import { Id, Message, NullableText, Text, Time, component, operation } from '../../contract/contract.ts'
import {
  EmailNotVerified,
  IdentityNotFound,
  InactiveUser,
  InvalidToken,
  LastWayIn,
  ProviderNotFound,
  ProviderUnavailable,
  SecondFactorRequired,
  UserNotFound,
} from '../../contract/errors.ts'
import { Token } from './login.ts'

const name = Type.String({ examples: ['google'] })

export const ProviderPublic = component(
  'ProviderPublic',
  Type.Object({
    name,
    url: Type.String({
      description: 'Where a browser goes to sign in with it.',
      examples: ['http://localhost:8000/api/v1/login/oidc/google'],
    }),
  }),
)
export const ProvidersPublic = component('ProvidersPublic', Type.Object({ data: Type.Array(ProviderPublic) }))
export const ProviderCode = component(
  'ProviderCode',
  Type.Object({
    code: Type.String({ description: 'With which the browser came back.' }),
    code_verifier: Type.Optional(
      Text(128, 43, {
        examples: ['dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'],
        description: 'What the `code_challenge` was made of, where the browser was sent off with one.',
      }),
    ),
  }),
)
export const IdentityPublic = component(
  'IdentityPublic',
  Type.Object({
    id: Id,
    provider: name,
    email: NullableText(255, {
      description: 'As the provider had it last. It says nothing about who it is.',
      examples: ['ada@example.com'],
    }),
    created_at: Time,
    last_used_at: Type.Unsafe<Date | null>({
      type: ['string', 'null'],
      format: 'date-time',
      examples: [null],
    }),
  }),
)
export const IdentitiesPublic = component(
  'IdentitiesPublic',
  Type.Object({ data: Type.Array(IdentityPublic) }),
)
export const ProviderUrl = component(
  'ProviderUrl',
  Type.Object({ url: Type.String({ description: 'Of the provider: the browser goes there.' }) }),
)

const provider = Text(32, 1, {
  pattern: '^[a-z0-9_]*$',
  description: 'Its name.',
  examples: ['google'],
})
const querystring = Type.Object({
  return_to: Type.Optional(
    Text(2048, 1, {
      description:
        'Where the browser goes in the end: a URL under FRONTEND_HOST, which it is where left out.',
    }),
  ),
})

const beginning = Type.Object({
  ...querystring.properties,
  code_challenge: Type.Optional(
    Text(43, 43, {
      pattern: '^[A-Za-z0-9_-]*$',
      examples: ['E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'],
      description:
        'SHA-256 of a random `code_verifier`, base64url (RFC 7636, S256), which stays in the tab. With it, nobody leads the browser to the frontend with a code of their own.',
    }),
  ),
})

export const readProviders = operation({
  operationId: 'login-read_providers',
  summary: 'List identity providers',
  description: 'Those that the service is set up for (OpenID Connect); often none.',
  response: { 200: ProvidersPublic },
})
export const goToProvider = operation({
  operationId: 'login-go_to_provider',
  summary: 'Sign in with an identity provider',
  description:
    'For browsers: leads to the provider, and from there back to the frontend. It gets there with `?code=…` for POST /login/oidc/token, or with `?error=…`: `account_exists` where an account has the address, and it is not known that both are of one person (choose a new password by a recovery mail, sign in, and link the provider); `provider_email_not_verified`, `provider_refused`, `provider_unavailable`, `inactive_user`, `invalid_token` (begin again), `too_many_requests`.',
  params: Type.Object({ provider }),
  querystring: beginning,
  redirects: 'To the provider.',
  response: {},
  errors: [ProviderNotFound, ProviderUnavailable],
})
export const comeBack = operation({
  operationId: 'login-come_back_from_provider',
  summary: 'Come back from an identity provider',
  description:
    'For browsers, which the provider sends here. Each way back is good once, in the browser that went.',
  params: Type.Object({ provider }),
  redirects: 'To the frontend, with `code`, `linked` or `error`.',
  response: {},
  errors: [InvalidToken],
})
export const signInWithProvider = operation({
  operationId: 'login-sign_in_with_provider',
  summary: 'Get tokens after an identity provider',
  description:
    'For the code with which the browser came back, within a minute and once. Whoever has a second factor is answered with a challenge to go on with (POST /login/second-factor).',
  body: ProviderCode,
  response: { 200: Token },
  errors: [InvalidToken, InactiveUser, EmailNotVerified, SecondFactorRequired],
})
export const readIdentities = operation({
  operationId: 'users-read_identities',
  summary: 'List my identities',
  description: 'Accounts at identity providers that sign me in.',
  response: { 200: IdentitiesPublic },
})
export const linkIdentity = operation({
  operationId: 'users-link_identity',
  summary: 'Link an identity',
  description:
    'Gives the URL of the provider to go to, and a cookie to come back with: send the request with credentials. The browser comes back to the frontend with `?linked=…`, or with `?error=…`: `identity_taken` where it belongs to another account, `too_many_identities`.',
  // OpenAPI takes paths that differ in the names of their parameters for one.
  params: Type.Object({ id: { ...provider, description: 'The name of the provider.' } }),
  querystring,
  fresh: true,
  response: { 200: ProviderUrl },
  errors: [ProviderNotFound, ProviderUnavailable],
})
export const deleteIdentity = operation({
  operationId: 'users-delete_identity',
  summary: 'Remove an identity',
  description:
    'It signs nobody in any more until it is linked again, and every other session ends. The last way in can’t be removed.',
  params: Type.Object({ id: { ...Id, description: 'Which identity.' } }),
  fresh: true,
  response: { 200: Message },
  errors: [IdentityNotFound, LastWayIn],
})
export const readIdentitiesOf = operation({
  operationId: 'users-read_user_identities',
  summary: 'List a user’s identities',
  description: 'Accounts at identity providers that sign them in.',
  params: Type.Object({ user_id: { ...Id, description: 'Which user.' } }),
  response: { 200: IdentitiesPublic },
  errors: [UserNotFound],
})
export const deleteIdentityOf = operation({
  operationId: 'users-delete_user_identity',
  summary: 'Remove a user’s identity',
  description:
    'It signs nobody in any more until its owner links it again; their sessions end, and they are told by mail.',
  params: Type.Object({
    user_id: { ...Id, description: 'Which user.' },
    id: { ...Id, description: 'Which identity.' },
  }),
  fresh: true,
  response: { 200: Message },
  errors: [IdentityNotFound],
})
