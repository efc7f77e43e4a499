import { Type } from '@sinclair/typebox'
import {
  ChangedEmail,
  Email,
  email,
  FullName,
  Id,
  Message,
  NewPasswordText,
  listQuery,
  PasswordText,
  UserPublic,
  component,
  operation,
  pageOf,
} from '../../contract/contract.ts'
import {
  EmailTakenAtChange,
  EmailTakenAtCreation,
  EmailTakenAtSignup,
  IncorrectPassword,
  LastSuperuser,
  NotEnoughPrivileges,
  RecentSignInRequired,
  SamePassword,
  SuperuserDeletesSelf,
  UserNotFound,
  UserToUpdateNotFound,
} from '../../contract/errors.ts'

const full_name = Type.Optional(FullName)
const password = NewPasswordText
/** Pressing a button in Swagger UI should not change whom one signs in as. */
const harmless = { examples: [{ full_name: 'Ada Lovelace' }] }

export const UsersPublic = component('UsersPublic', pageOf(UserPublic))
export const UserCreate = component(
  'UserCreate',
  Type.Object({
    email: email('grace@example.com'),
    password,
    full_name,
    is_active: Type.Optional(Type.Boolean({ default: true })),
    is_superuser: Type.Optional(Type.Boolean({ default: false })),
  }),
)
export const UserRegister = component('UserRegister', Type.Object({ email: Email, password, full_name }))
export const UserUpdate = component(
  'UserUpdate',
  Type.Partial(
    Type.Object({
      email: ChangedEmail,
      password,
      full_name,
      is_active: Type.Boolean(),
      is_superuser: Type.Boolean(),
    }),
    harmless,
  ),
)
export const UserUpdateMe = component(
  'UserUpdateMe',
  Type.Partial(Type.Object({ full_name, email: ChangedEmail }), harmless),
)
export const UpdatePassword = component(
  'UpdatePassword',
  Type.Object({ current_password: PasswordText, new_password: password }),
)

const params = Type.Object({ user_id: { ...Id, description: 'Which user.' } })

export const registerUser = operation({
  operationId: 'users-register_user',
  summary: 'Sign up',
  description: 'Makes an account for whoever asks.',
  body: UserRegister,
  response: { 200: UserPublic },
  errors: [EmailTakenAtSignup],
})
export const readUserMe = operation({
  operationId: 'users-read_user_me',
  summary: 'Read my account',
  description: 'The account that the access token stands for.',
  factorless: true,
  permission: 'users:read',
  response: { 200: UserPublic },
})
export const updateUserMe = operation({
  operationId: 'users-update_user_me',
  summary: 'Change my account',
  description:
    'Fields that are not sent stay as they are. Another address needs a recent sign-in, and is not verified; the one before is mailed a link that takes it back.',
  body: UserUpdateMe,
  response: { 200: UserPublic },
  errors: [RecentSignInRequired, EmailTakenAtChange],
})
export const updatePasswordMe = operation({
  operationId: 'users-update_password_me',
  summary: 'Change my password',
  description: 'Ends every other session; this one goes on.',
  body: UpdatePassword,
  response: { 200: Message },
  errors: [IncorrectPassword, SamePassword],
})
export const deleteUserMe = operation({
  operationId: 'users-delete_user_me',
  summary: 'Delete my account',
  description: 'And everything that belongs to it, at once and for good.',
  fresh: true,
  response: { 200: Message },
  errors: [SuperuserDeletesSelf],
})
export const readUserById = operation({
  operationId: 'users-read_user_by_id',
  summary: 'Read a user',
  description: "One's own account, or for superusers any.",
  params,
  permission: 'users:read',
  response: { 200: UserPublic },
  errors: [NotEnoughPrivileges, UserNotFound],
})
export const readUsers = operation({
  operationId: 'users-read_users',
  summary: 'List users',
  description: 'Newest first, where not asked for otherwise.',
  querystring: listQuery('address or full name', ['created_at', 'email', 'full_name']),
  permission: 'users:read',
  response: { 200: UsersPublic },
})
export const createUser = operation({
  operationId: 'users-create_user',
  summary: 'Create a user',
  description:
    'Mails them a welcome with a link to choose a password of their own; never the password. Who is not active yet gets it when they are activated.',
  body: UserCreate,
  fresh: true,
  response: { 200: UserPublic },
  errors: [EmailTakenAtCreation],
})
export const updateUser = operation({
  operationId: 'users-update_user',
  summary: 'Change a user',
  description:
    "Fields that are not sent stay as they are. A new password, deactivation or demotion ends the user's sessions.",
  params,
  body: UserUpdate,
  fresh: true,
  response: { 200: UserPublic },
  errors: [UserToUpdateNotFound, LastSuperuser, EmailTakenAtChange],
})
export const deleteUser = operation({
  operationId: 'users-delete_user',
  summary: 'Delete a user',
  description: 'And everything that belongs to them, at once and for good.',
  params,
  fresh: true,
  response: { 200: Message },
  errors: [UserNotFound, SuperuserDeletesSelf, LastSuperuser],
})
