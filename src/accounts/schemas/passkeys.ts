import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import { type TSchema, Type } from '@sinclair/typebox'
import { Id, Message, Text, Time, component, operation } from '../../contract/contract.ts'
import {
  EmailNotVerified,
  InactiveUser,
  LastWayIn,
  IncorrectPasskey,
  PasskeyNotFound,
  PasskeysUnavailable,
  SecondFactorNeeded,
  TooManyPasskeys,
  UserNotFound,
} from '../../contract/errors.ts'
import { Token } from './login.ts'

/**
 * Options and answers are WebAuthn's JSON as it is, under its names (WebAuthn 3, 5.1.8 ff.): browsers read them with
 * `parseCreationOptionsFromJSON` and write them with `toJSON`. Fields that newer browsers add are ignored.
 */

const bytes = (maxLength: number, description?: string) =>
  Text(maxLength, 0, { ...(description !== undefined && { description }), examples: ['AAAA'] })
/** Answers that fit into a body, and have room for keys of 2 KiB. */
const MOST_BYTES = 8192

const more = { additionalProperties: true }
/** What nobody here reads, whatever it is. */
const Anything = Type.Unsafe<object>({ type: 'object', additionalProperties: true })

const id = bytes(2048, 'Of the credential, in base64url.')
const Descriptor = Type.Object(
  {
    id,
    type: Type.String({ examples: ['public-key'] }),
    transports: Type.Optional(Type.Array(Type.String())),
  },
  more,
)
const Challenge = Type.String({ description: 'In base64url; good once, for five minutes.' })
const Timeout = Type.Integer({ description: 'Milliseconds.', examples: [300_000] })
const Hints = Type.Optional(Type.Array(Type.String()))

/** A component with the type that the library has for it. */
const webauthn = <T>(name: string, schema: TSchema) => component(name, Type.Unsafe<T>(schema))

export const CreationOptions = webauthn<PublicKeyCredentialCreationOptionsJSON>(
  'PublicKeyCredentialCreationOptionsJSON',
  Type.Object(
    {
      rp: Type.Object({ id: Type.String(), name: Type.String() }, more),
      user: Type.Object(
        {
          id: Type.String({ description: 'Random, in base64url.' }),
          name: Type.String(),
          displayName: Type.String(),
        },
        more,
      ),
      challenge: Challenge,
      pubKeyCredParams: Type.Array(Type.Object({ type: Type.String(), alg: Type.Integer() }, more)),
      timeout: Timeout,
      excludeCredentials: Type.Array(Descriptor),
      authenticatorSelection: Anything,
      attestation: Type.String({ examples: ['none'] }),
      hints: Hints,
      extensions: Type.Optional(Anything),
    },
    more,
  ),
)
export const RequestOptions = webauthn<PublicKeyCredentialRequestOptionsJSON>(
  'PublicKeyCredentialRequestOptionsJSON',
  Type.Object(
    {
      challenge: Challenge,
      rpId: Type.String(),
      timeout: Timeout,
      allowCredentials: Type.Array(Descriptor, { description: 'Empty: any passkey for this host.' }),
      userVerification: Type.String({ examples: ['required'] }),
      hints: Hints,
      extensions: Type.Optional(Anything),
    },
    more,
  ),
)

const credential = {
  id,
  rawId: id,
  type: Text(32, 0, { examples: ['public-key'] }),
  authenticatorAttachment: Type.Optional(
    Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength: 32, examples: ['platform'] }),
  ),
  clientExtensionResults: Type.Optional(
    Type.Unsafe<object>({ type: 'object', additionalProperties: true, examples: [{}] }),
  ),
}
const clientDataJSON = bytes(MOST_BYTES)

export const Registration = webauthn<RegistrationResponseJSON>(
  'RegistrationResponseJSON',
  Type.Object(
    {
      ...credential,
      response: Type.Object(
        {
          clientDataJSON,
          attestationObject: bytes(MOST_BYTES),
          transports: Type.Optional(
            Type.Array(Text(32, 0, { examples: ['internal'] }), { maxItems: 16, examples: [['internal']] }),
          ),
        },
        { ...more, examples: [{ clientDataJSON: 'AAAA', attestationObject: 'AAAA' }] },
      ),
    },
    { ...more, description: 'What `navigator.credentials.create` gave, as its `toJSON` writes it.' },
  ),
)
export const Authentication = webauthn<AuthenticationResponseJSON>(
  'AuthenticationResponseJSON',
  Type.Object(
    {
      ...credential,
      response: Type.Object(
        {
          clientDataJSON,
          authenticatorData: bytes(MOST_BYTES),
          signature: bytes(MOST_BYTES),
          userHandle: Type.Optional(
            Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength: 128, examples: ['AAAA'] }),
          ),
        },
        {
          ...more,
          examples: [{ clientDataJSON: 'AAAA', authenticatorData: 'AAAA', signature: 'AAAA' }],
        },
      ),
    },
    { ...more, description: 'What `navigator.credentials.get` gave, as its `toJSON` writes it.' },
  ),
)

export const PasskeyPublic = component(
  'PasskeyPublic',
  Type.Object({
    id: Id,
    name: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      description: 'That of the device which added it, until it is given another.',
      examples: ['Firefox on Linux'],
    }),
    credential_id: Type.String({ description: 'As browsers know it, for `signalAllAcceptedCredentials`.' }),
    transports: Type.Array(Type.String(), { examples: [['internal']] }),
    backed_up: Type.Boolean({ description: 'Whether it is on more than one device.', examples: [true] }),
    created_at: Time,
    last_used_at: Type.Unsafe<Date | null>({
      type: ['string', 'null'],
      format: 'date-time',
      examples: [null],
    }),
  }),
)
export const PasskeysPublic = component('PasskeysPublic', Type.Object({ data: Type.Array(PasskeyPublic) }))
export const PasskeyUpdate = component(
  'PasskeyUpdate',
  Type.Object({ name: Text(255, 1, { examples: ['Phone'] }) }),
)

const own = Type.Object({ id: { ...Id, description: 'Which passkey of mine.' } })
const user_id = { ...Id, description: 'Which user.' }

export const readPasskeys = operation({
  operationId: 'users-read_passkeys',
  summary: 'List my passkeys',
  description: 'Newest first.',
  factorless: true,
  response: { 200: PasskeysPublic },
})
export const passkeyOptions = operation({
  operationId: 'users-create_passkey_options',
  summary: 'Begin with a passkey',
  description:
    'What the browser is to be asked, by `navigator.credentials.create`. I have 10 passkeys at most. Whoever has a second factor needs one in this session.',
  fresh: true,
  factorless: true,
  response: { 200: CreationOptions },
  errors: [PasskeysUnavailable, TooManyPasskeys, SecondFactorNeeded],
})
export const createPasskey = operation({
  operationId: 'users-create_passkey',
  summary: 'Add a passkey',
  description:
    'With what the browser answered. It signs in from then on, without password and code; this session has shown it.',
  body: Registration,
  fresh: true,
  factorless: true,
  response: { 200: PasskeyPublic },
  errors: [IncorrectPasskey, PasskeysUnavailable, TooManyPasskeys, SecondFactorNeeded],
})
export const updatePasskey = operation({
  operationId: 'users-update_passkey',
  summary: 'Name a passkey of mine',
  description: 'So that I know which one it is.',
  params: own,
  body: PasskeyUpdate,
  response: { 200: PasskeyPublic },
  errors: [PasskeyNotFound],
})
export const deletePasskey = operation({
  operationId: 'users-delete_passkey',
  summary: 'Remove a passkey of mine',
  description: 'It no longer signs in. Every other session ends. The last way in can’t be removed.',
  params: own,
  fresh: true,
  response: { 200: Message },
  errors: [PasskeyNotFound, LastWayIn],
})
export const signInOptions = operation({
  operationId: 'login-passkey_options',
  summary: 'Begin a sign-in with a passkey',
  description:
    'What the browser is to be asked, by `navigator.credentials.get`. Nobody says who they are: the passkey does.',
  response: { 200: RequestOptions },
  errors: [PasskeysUnavailable],
})
export const signIn = operation({
  operationId: 'login-passkey',
  summary: 'Sign in with a passkey',
  description:
    'With what the browser answered, for an access token. A passkey stands for both factors: no code is asked for. Whatever is wrong about it is answered alike.',
  body: Authentication,
  response: { 200: Token },
  errors: [IncorrectPasskey, PasskeysUnavailable, InactiveUser, EmailNotVerified],
})
export const readPasskeysOf = operation({
  operationId: 'users-read_user_passkeys',
  summary: 'List a user’s passkeys',
  description: 'Newest first.',
  params: Type.Object({ user_id }),
  response: { 200: PasskeysPublic },
  errors: [UserNotFound],
})
export const deletePasskeyOf = operation({
  operationId: 'users-delete_user_passkey',
  summary: 'Remove a user’s passkey',
  description: 'It no longer signs in. Ends their sessions, and tells them by mail.',
  params: Type.Object({ user_id, id: { ...Id, description: 'Which passkey.' } }),
  fresh: true,
  response: { 200: Message },
  errors: [PasskeyNotFound],
})
