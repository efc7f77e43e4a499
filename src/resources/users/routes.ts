import type { App } from '../../contract.ts'
import {
  EmailTakenAtCreation,
  EmailTakenAtSignup,
  IncorrectPassword,
  NotEnoughPrivileges,
  SamePassword,
  SuperuserDeletesSelf,
} from '../../errors.ts'
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
import { userStore } from './store.ts'

const deleted = { message: 'User deleted successfully' }

export function usersPublic(app: App) {
  const { accounts, passwords } = app.auth

  app.post('/users/signup', { schema: registerUser }, async (request) => {
    const { password, ...account } = request.body
    const user = await accounts.create({ ...account, hashed_password: await passwords.hash(password) })
    if (!user) throw new EmailTakenAtSignup()
    return user
  })
}

export function usersSignedIn(app: App) {
  const { passwords } = app.auth
  const users = userStore(app.db)

  app.get('/users/me', { schema: readUserMe }, (request) => request.user)
  app.patch('/users/me', { schema: updateUserMe }, (request) =>
    users.updateOwn(request.user.id, request.body),
  )
  app.patch('/users/me/password', { schema: updatePasswordMe }, async (request) => {
    const { current_password, new_password } = request.body
    const change = async () => {
      const current = await users.hashOf(request.user.id)
      const { matches } = await passwords.verify(current, current_password)
      if (!matches) throw new IncorrectPassword()
      if (current_password === new_password) throw new SamePassword()
      return users.changePassword(request.user, current, await passwords.hash(new_password))
    }
    // A sign-in may renew the hash meanwhile: then the password is still right, and the second try says so.
    if (!(await change()) && !(await change())) throw new IncorrectPassword()
    return { message: 'Password updated successfully' }
  })
  app.delete('/users/me', { schema: deleteUserMe }, async (request) => {
    if (request.user.is_superuser) throw new SuperuserDeletesSelf()
    await users.deleteOwn(request.user.id)
    return deleted
  })
  app.get('/users/:user_id', { schema: readUserById }, async (request) => {
    const { user } = request
    const id = request.params.user_id.toLowerCase()
    if (id === user.id) return user
    if (!user.is_superuser) throw new NotEnoughPrivileges()
    return users.get(id)
  })
}

export function usersSuperuser(app: App) {
  const { accounts, passwords } = app.auth
  const users = userStore(app.db)

  app.get('/users/', { schema: readUsers }, (request) => users.page(request.query))
  app.post('/users/', { schema: createUser }, async (request) => {
    const { password, ...account } = request.body
    const user = await accounts.createWithWelcome({
      ...account,
      hashed_password: await passwords.hash(password),
    })
    if (!user) throw new EmailTakenAtCreation()
    app.mail.wake()
    return user
  })
  app.patch('/users/:user_id', { schema: updateUser }, async (request) => {
    const { password, ...changes } = request.body
    const hashed_password = password === undefined ? undefined : await passwords.hash(password)
    return users.update(request.params.user_id, { ...changes, hashed_password })
  })
  app.delete('/users/:user_id', { schema: deleteUser }, async (request) => {
    const id = request.params.user_id.toLowerCase()
    if (id === request.user.id) throw new SuperuserDeletesSelf()
    await users.delete(id)
    return deleted
  })
}
