import { isCommonPassword } from '../../auth/common-passwords.ts'
import type { App } from '../../contract.ts'
import {
  type ApiErrorKind,
  CommonPassword,
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

/** @param taken is said first where the address is in use; undefined where that is nobody's business */
async function refuseCommon({ auth }: App, { email, password }: Account, taken: ApiErrorKind | undefined) {
  if (!(await isCommonPassword(password))) return
  if (taken && (await auth.accounts.findByEmail(email))) throw new taken()
  throw new CommonPassword('password')
}

type Account = Record<'email' | 'password', string>

const deleted = { message: 'User deleted successfully' }

export function usersPublic(app: App) {
  const { passwords, register } = app.auth
  // Where addresses have to be verified, nobody learns from a sign-up which ones are in use.
  const tells = app.config.EMAIL_VERIFICATION !== 'required'

  const signup = { schema: registerUser, config: { limit: 'signup_network' } } as const
  app.post('/users/signup', signup, async (request) => {
    const { password, ...account } = request.body
    await request.limit('mail', account.email.toLowerCase())
    await refuseCommon(app, request.body, tells ? EmailTakenAtSignup : undefined)
    const hashed_password = await passwords.hash(password)
    const { user, isMadeUp } = await register({ ...account, hashed_password, ip_address: request.ip })
    if (isMadeUp && tells) throw new EmailTakenAtSignup()
    if (isMadeUp) request.record('user_registered', { reason: 'address in use' })
    else request.record('user_registered', { user_id: user.id })
    app.mail.wake()
    return user
  })
}

export function usersSignedIn(app: App) {
  const { passwords } = app.auth
  const users = userStore(app.db, app.config)

  app.get('/users/me', { schema: readUserMe }, (request) => request.user)
  app.patch('/users/me', { schema: updateUserMe }, async (request) => {
    const address = request.body.email?.toLowerCase()
    if (address !== undefined && address !== request.user.email.toLowerCase()) {
      await request.limit('mail_network', request.network)
      await request.limit('mail', address)
    }
    const user = await users.updateOwn(request.user.id, request.body, request.ip)
    if (user.email.toLowerCase() !== request.user.email.toLowerCase()) {
      request.record('address_changed')
      app.mail.wake()
    }
    return user
  })
  app.patch('/users/me/password', { schema: updatePasswordMe }, async (request) => {
    const { current_password, new_password } = request.body
    await request.limit('password_change', request.user.id)
    const change = async () => {
      const current = await users.hashOf(request.user.id)
      const { matches } = await passwords.verify(current, current_password, (isRight) =>
        request.settle(isRight),
      )
      if (!matches) {
        request.record('password_changed', { reason: 'password' })
        throw new IncorrectPassword()
      }
      if (current_password === new_password) throw new SamePassword()
      if (await isCommonPassword(new_password)) throw new CommonPassword('new_password')
      const hashed_password = await passwords.hash(new_password)
      return users.changePassword(request.user, {
        verified: current,
        hashed_password,
        ip_address: request.ip,
      })
    }
    // A sign-in may renew the hash meanwhile: then the password is still right, and the second try says so.
    if (!(await change()) && !(await change())) throw new IncorrectPassword()
    request.record('password_changed')
    app.mail.wake()
    return { message: 'Password updated successfully' }
  })
  app.delete('/users/me', { schema: deleteUserMe }, async (request) => {
    if (request.user.is_superuser) throw new SuperuserDeletesSelf()
    await users.deleteOwn(request.user.id)
    request.record('user_deleted')
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
  const users = userStore(app.db, app.config)

  app.get('/users/', { schema: readUsers }, (request) => users.page(request.query))
  app.post('/users/', { schema: createUser }, async (request) => {
    const { password, ...account } = request.body
    await refuseCommon(app, request.body, EmailTakenAtCreation)
    const user = await accounts.createWithWelcome({
      ...account,
      hashed_password: await passwords.hash(password),
    })
    if (!user) throw new EmailTakenAtCreation()
    request.record('user_created', { user_id: user.id })
    app.mail.wake()
    return user
  })
  app.patch('/users/:user_id', { schema: updateUser }, async (request) => {
    const { password, ...changes } = request.body
    const id = request.params.user_id
    if (password !== undefined && (await isCommonPassword(password))) {
      await users.checkUpdate(id, changes)
      throw new CommonPassword('password')
    }
    const hashed_password = password === undefined ? undefined : await passwords.hash(password)
    const user = await users.update(id, { ...changes, hashed_password })
    request.record('user_updated', { user_id: user.id })
    if (password !== undefined || changes.email !== undefined) app.mail.wake()
    return user
  })
  app.delete('/users/:user_id', { schema: deleteUser }, async (request) => {
    const id = request.params.user_id.toLowerCase()
    if (id === request.user.id) throw new SuperuserDeletesSelf()
    await users.delete(id)
    request.record('user_deleted', { user_id: id })
    return deleted
  })
}
