import { Type } from '@sinclair/typebox'
import { Id, Message, Text, Time, component, operation } from '../../contract/contract.ts'
import {
  FactorNotFound,
  InactiveUser,
  IncorrectCode,
  InvalidToken,
  SecondFactorNeeded,
  TooManyFactors,
  UserNotFound,
} from '../../contract/errors.ts'
import { Token } from './login.ts'

/** Of an authenticator, or a recovery code. */
export const Code = Text(64, 1, {
  description: 'Six digits of an authenticator, or a recovery code.',
  examples: ['123456'],
})

export const FactorPublic = component(
  'FactorPublic',
  Type.Object({
    id: Id,
    kind: Type.String({ description: '`totp`: an authenticator.', examples: ['totp'] }),
    name: Type.Unsafe<string | null>({ type: ['string', 'null'], examples: ['Phone'] }),
    created_at: Time,
    last_used_at: Type.Unsafe<Date | null>({
      type: ['string', 'null'],
      format: 'date-time',
      examples: [null],
    }),
    verified: Type.Boolean({ description: 'Whether a code of it was shown: only then it counts.' }),
  }),
)
export const FactorsPublic = component(
  'FactorsPublic',
  Type.Object({
    data: Type.Array(FactorPublic),
    recovery_codes_left: Type.Integer({ description: 'Each is good once.', examples: [10] }),
  }),
)
export const TotpEnroll = component(
  'TotpEnroll',
  Type.Object({
    name: Type.Optional(
      Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength: 255, examples: ['Phone'] }),
    ),
  }),
)
export const TotpEnrollment = component(
  'TotpEnrollment',
  Type.Object({
    id: Id,
    secret: Type.String({ description: 'In base32, to be typed; not shown again.' }),
    otpauth_uri: Type.String({ description: 'The same for a QR code.' }),
  }),
)
export const FactorCode = component('FactorCode', Type.Object({ code: Code }))
export const NewRecoveryCodes = component(
  'NewRecoveryCodes',
  Type.Object({
    recovery_codes: Type.Array(Type.String(), {
      description: 'Each is good once, in place of a code. Shown now, and never again.',
    }),
  }),
)
export const SecondFactor = component(
  'SecondFactor',
  Type.Object({ challenge: Type.String({ description: 'From the sign-in.' }), code: Code }),
)

const params = Type.Object({ id: { ...Id, description: 'Which factor of mine.' } })

export const readFactors = operation({
  operationId: 'users-read_factors',
  summary: 'List my second factors',
  description: 'Authenticators, and how many recovery codes are left.',
  factorless: true,
  response: { 200: FactorsPublic },
})
export const enrollTotp = operation({
  operationId: 'users-enroll_totp',
  summary: 'Begin with an authenticator',
  description:
    'Gives its secret. It counts once a code of it is shown; one that never was is replaced. There are 5 at most. Whoever has a second factor needs one in this session.',
  body: TotpEnroll,
  fresh: true,
  factorless: true,
  response: { 200: TotpEnrollment },
  errors: [TooManyFactors, SecondFactorNeeded],
})
export const verifyTotp = operation({
  operationId: 'users-verify_totp',
  summary: 'Show a code of an authenticator',
  description: 'The first time, it counts from then on; with the first one come the recovery codes.',
  params,
  body: FactorCode,
  factorless: true,
  response: { 200: NewRecoveryCodes },
  errors: [IncorrectCode, FactorNotFound],
})
export const deleteFactor = operation({
  operationId: 'users-delete_factor',
  summary: 'Remove a second factor',
  description: 'One that counts needs a second factor in this session. Every other session ends.',
  params,
  fresh: true,
  response: { 200: Message },
  errors: [SecondFactorNeeded, FactorNotFound],
})
export const createRecoveryCodes = operation({
  operationId: 'users-create_recovery_codes',
  summary: 'Make new recovery codes',
  description: 'Those that are left stop working. Needs a second factor in this session.',
  fresh: true,
  response: { 200: NewRecoveryCodes },
  errors: [SecondFactorNeeded],
})
export const secondFactor = operation({
  operationId: 'login-second_factor',
  summary: 'Show a second factor',
  description: 'Goes on with a sign-in that was answered with a challenge.',
  body: SecondFactor,
  response: { 200: Token },
  errors: [InvalidToken, InactiveUser, IncorrectCode],
})
export const resetFactors = operation({
  operationId: 'users-reset_factors',
  summary: 'Remove a user’s second factors',
  description: 'For who lost theirs. Ends their sessions, and tells them by mail.',
  params: Type.Object({ user_id: { ...Id, description: 'Which user.' } }),
  fresh: true,
  response: { 200: Message },
  errors: [UserNotFound],
})
