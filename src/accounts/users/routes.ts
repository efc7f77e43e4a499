import type { App, SignedInApp } from '../../contract/contract.ts'
import { changePassword } from '../change-password.ts'
import { changeProfile } from '../change-profile.ts'
import { deleteOwnAccount, deleteUser as removeUser } from '../delete-account.ts'
import * as manage from '../manage-users.ts'
import { signUp } from '../sign-up.ts'
import {
  createUser,
  deleteUser,
  deleteUserMe,
  readUserById,
  readUserMe,
  readUsers,
  registerUser,
  updatePasswordMe,
  updateUser,
  updateUserMe,
} from './schemas.ts'

const deleted = { message: 'User deleted successfully' }

export function usersPublic(app: App) {
  const register = signUp(app)
  const options = { schema: registerUser, config: { limit: 'signup_network' } } as const
  app.post('/users/signup', options, (request, reply) => register(request.body, request, reply))
}

export function usersSignedIn(app: SignedInApp) {
  const deleteOwn = deleteOwnAccount(app)
  const [changeOwn, setPassword, read] = [changeProfile(app), changePassword(app), manage.readUser(app)]

  app.get('/users/me', { schema: readUserMe }, (request) => request.user)
  app.patch('/users/me', { schema: updateUserMe }, (request) => changeOwn(request.body, request))
  app.patch('/users/me/password', { schema: updatePasswordMe }, async (request, reply) => {
    await setPassword(request.body, request, reply)
    return { message: 'Password updated successfully' }
  })
  app.delete('/users/me', { schema: deleteUserMe }, async (request) => {
    await deleteOwn(request)
    return deleted
  })
  app.get('/users/:user_id', { schema: readUserById }, (request) => read(request.params.user_id, request))
}

export function usersSuperuser(app: SignedInApp) {
  const [list, create] = [manage.listUsers(app), manage.createUser(app)]
  const [change, remove] = [manage.changeUser(app), removeUser(app)]

  app.get('/users/', { schema: readUsers }, (request) => list(request.query, request))
  app.post('/users/', { schema: createUser }, (request, reply) => create(request.body, request, reply))
  app.patch('/users/:user_id', { schema: updateUser }, (request, reply) =>
    change(request.params.user_id, request.body, request, reply),
  )
  app.delete('/users/:user_id', { schema: deleteUser }, async (request) => {
    await remove(request.params.user_id, request)
    return deleted
  })
}
