import { Type } from '@sinclair/typebox'
import {
  FullName,
  NewPasswordText,
  UserPublic,
  component,
  email,
  operation,
} from '../../contract/contract.ts'
import { EmailTakenAtSignup } from '../../contract/errors.ts'

export const PrivateUserCreate = component(
  'PrivateUserCreate',
  Type.Object({
    email: email('katherine@example.com'),
    password: NewPasswordText,
    full_name: FullName,
    is_verified: Type.Optional(Type.Boolean({ default: false })),
  }),
)

export const createUser = operation({
  operationId: 'private-create_user',
  summary: 'Create a user without ceremony',
  description: 'For development and tests: no mail, no sign-in. Exists only where ENVIRONMENT is local.',
  body: PrivateUserCreate,
  response: { 200: UserPublic },
  errors: [EmailTakenAtSignup],
})
