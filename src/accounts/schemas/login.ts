import { Type } from '@sinclair/typebox'
import {
  KnownEmail,
  Message,
  NewPasswordText,
  PasswordText,
  Text,
  UserPublic,
  component,
  operation,
} from '../../contract/contract.ts'
import {
  EmailNotVerified,
  EmailTakenAtChange,
  InactiveUser,
  IncorrectEmailOrPassword,
  IncorrectCode,
  IncorrectPassword,
  RecentSignInRequired,
  SecondFactorRequired,
  InvalidCredentials,
  InvalidToken,
  UnknownUsername,
} from '../../contract/errors.ts'

export const LoginForm = component(
  'Body_login-login_access_token',
  Type.Object({
    grant_type: Type.Optional(
      Type.Unsafe<string | null>({ type: ['string', 'null'], pattern: '^(password)?$' }),
    ),
    username: Type.String({ description: 'The email address.', examples: ['admin@example.com'] }),
    password: Type.String({ format: 'password', examples: ['changethis'] }),
    scope: Type.Optional(Type.String({ default: '' })),
    client_id: Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'] })),
    client_secret: Type.Optional(
      Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'password' }),
    ),
    code: Type.Optional(
      Type.Unsafe<string | null>({
        type: ['string', 'null'],
        maxLength: 64,
        description: 'Of a second factor, where the user has one: then this is all of the sign-in.',
      }),
    ),
  }),
)
export const Token = component(
  'Token',
  Type.Object({
    access_token: Type.String({ description: 'For the header `Authorization: Bearer …`.' }),
    token_type: Type.String({ default: 'bearer', examples: ['bearer'] }),
    expires_in: Type.Integer({ description: 'Seconds that the access token lives.', examples: [3600] }),
    refresh_token: Type.String({ description: 'Stands for the session.' }),
  }),
)
export const NewPassword = component(
  'NewPassword',
  Type.Object({
    token: Type.String({ description: 'From the link in the mail.' }),
    new_password: NewPasswordText,
  }),
)
export const RefreshToken = component(
  'RefreshToken',
  Type.Object({ refresh_token: Type.String({ description: 'The newest one of the session.' }) }),
)
export const VerifyEmail = component(
  'VerifyEmail',
  Type.Object({ token: Type.String({ description: 'From the link in the mail.' }) }),
)
export const Reauthenticate = component(
  'Reauthenticate',
  Type.Partial(
    Type.Object({
      password: PasswordText,
      code: Text(64, 1, { description: 'Of an authenticator, or a recovery code.' }),
    }),
    { description: 'One of them.', examples: [{ password: 'correct horse battery' }] },
  ),
)
export const UndoEmailChange = component(
  'UndoEmailChange',
  Type.Object({ token: Type.String({ description: 'From the link in the mail.' }) }),
)
export const ResendVerification = component('ResendVerification', Type.Object({ email: KnownEmail }))

export const accessToken = operation({
  operationId: 'login-login_access_token',
  summary: 'Sign in',
  description:
    'Address and password, as an OAuth 2 password form, for an access token. It opens a session that can be ended at any time. Whoever has a second factor sends its `code` as well, or is answered with a challenge to go on with (POST /login/second-factor).',
  consumes: ['application/x-www-form-urlencoded'],
  multipart: true, // frontends of the template sent it so until August 2026
  body: LoginForm,
  response: { 200: Token },
  errors: [IncorrectEmailOrPassword, InactiveUser, EmailNotVerified, IncorrectCode, SecondFactorRequired],
})
export const testToken = operation({
  operationId: 'login-test_token',
  summary: 'Who am I',
  description: 'The user whom the access token stands for.',
  factorless: true,
  permission: 'users:read',
  response: { 200: UserPublic },
})
export const refreshToken = operation({
  operationId: 'login-refresh_token',
  summary: 'Go on with a session',
  description:
    'A new access token, and the next refresh token: each is good for one refresh. As an answer may get lost, the one before is answered alike until what came with the newest is used, and for a minute in any case. An older one ends the session.',
  body: RefreshToken,
  response: { 200: Token },
  errors: [InvalidCredentials],
})
export const logout = operation({
  operationId: 'login-logout',
  summary: 'Sign out',
  description: 'Ends this session: its access and refresh tokens stop working at once.',
  factorless: true,
  response: { 200: Message },
})
export const reauthenticate = operation({
  operationId: 'login-reauthenticate',
  summary: 'Show again who I am',
  description:
    'With the password, or with a code of a second factor. For an hour or what the service sets (REAUTHENTICATION_MINUTES), this session may do what needs a recent sign-in. Not for an access token of a FastAPI template that was adopted: sign in.',
  body: Reauthenticate,
  factorless: true,
  response: { 200: Message },
  errors: [IncorrectPassword, IncorrectCode, RecentSignInRequired],
})
const params = Type.Object({
  email: { ...KnownEmail, examples: ['admin@example.com'], description: 'Whose account it is.' },
})
export const recoverPassword = operation({
  operationId: 'login-recover_password',
  summary: 'Ask for a recovery link',
  description: 'The answer is the same whether the address is known or not.',
  params,
  response: { 200: Message },
})
export const recoverPasswordHtml = operation({
  operationId: 'login-recover_password_html_content',
  summary: 'See a recovery mail',
  description:
    'The mail as it would be sent, with a link that works. It is not sent; its owner is told that it was seen.',
  params,
  produces: ['text/html'],
  fresh: true,
  response: { 200: Type.String() },
  errors: [UnknownUsername],
})
export const resetPassword = operation({
  operationId: 'login-reset_password',
  summary: 'Choose a new password',
  description: 'With the token of a mailed link. Ends every session of the user, and verifies the address.',
  body: NewPassword,
  response: { 200: Message },
  errors: [InvalidToken, InactiveUser],
})
export const verifyEmail = operation({
  operationId: 'login-verify_email',
  summary: 'Verify an address',
  description: 'With the token of a mailed link. Works signed in or not.',
  body: VerifyEmail,
  response: { 200: Message },
  errors: [InvalidToken, EmailTakenAtChange],
})
export const undoEmailChange = operation({
  operationId: 'login-undo_email_change',
  summary: 'Take back a change of address',
  description:
    'With the token that was mailed to the address before, within 72 hours. Ends every session and the password; a link to choose another one is mailed.',
  body: UndoEmailChange,
  response: { 200: Message },
  errors: [InvalidToken, InactiveUser, EmailTakenAtChange],
})
export const resendVerification = operation({
  operationId: 'login-resend_verification',
  summary: 'Ask for a verification link',
  description: 'The answer is the same whether the address is known or not.',
  body: ResendVerification,
  response: { 200: Message },
})
