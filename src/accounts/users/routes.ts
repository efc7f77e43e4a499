import type { Accounts } from '../find-user.ts'
import { isGuessable } from '../passwords/common-passwords.ts'
import { normalPassword } from '../../text/normal-password.ts'
import type { App, SignedInApp } from '../../contract/contract.ts'
import { isSameEmail } from '../../text/email-address.ts'
import {
  type ApiErrorKind,
  CommonPassword,
  EmailTakenAtCreation,
  IncorrectPassword,
  NotEnoughPrivileges,
  SamePassword,
  SuperuserDeletesSelf,
} from '../../contract/errors.ts'
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
import { signUp } from '../sign-up.ts'
import { userStore } from './store.ts'

/** @param taken is said first where the address is in use; undefined where that is nobody's business */
async function refuseCommon(
  { auth, config }: Pick<App, 'auth' | 'config'>,
  { email, password }: Account,
  taken: ApiErrorKind | undefined,
) {
  if (!(await isGuessable(password, { email, project: config.PROJECT_NAME }))) return
  if (taken && (await auth.accounts.findByEmail(email))) throw new taken()
  throw new CommonPassword('password')
}

/** Changes with an address as it is stored. */
const spelled = async <Changes extends { email?: string }>(changes: Changes, accounts: Accounts) =>
  changes.email === undefined ? changes : { ...changes, email: await accounts.spelling(changes.email) }

type Account = Record<'email' | 'password', string>

const deleted = { message: 'User deleted successfully' }

export function usersPublic(app: App) {
  const register = signUp(app)
  const options = { schema: registerUser, config: { limit: 'signup_network' } } as const
  app.post('/users/signup', options, (request, reply) => register(request.body, request, reply))
}

export function usersSignedIn(app: SignedInApp) {
  const { accounts, passwords } = app.auth
  const users = userStore(app.db, app.config)

  app.get('/users/me', { schema: readUserMe }, (request) => request.user)
  app.patch('/users/me', { schema: updateUserMe }, async (request) => {
    const changes = await spelled(request.body, accounts)
    if (changes.email !== undefined && !isSameEmail(changes.email, request.user.email)) {
      await request.limitNetwork('mail_network')
    }
    const user = await users.updateOwn(request.user.id, changes, request.ip)
    if (!isSameEmail(user.email, request.user.email)) {
      request.record('address_changed')
      app.mail.wake()
    }
    return user
  })
  app.patch('/users/me/password', { schema: updatePasswordMe }, async (request, reply) => {
    const { current_password, new_password } = request.body
    const { id, email } = request.user
    await request.guess(['password_change', id], ['password_changes', id])
    const turn = reply.turn(id)
    const change = async () => {
      const current = await users.hashOf(id)
      const settle = (isRight: boolean) => request.settle(isRight)
      const { matches } = await passwords.verify(current, current_password, settle, turn)
      if (!matches) {
        request.record('password_changed', { reason: 'password' })
        throw new IncorrectPassword()
      }
      if (normalPassword(current_password) === new_password) throw new SamePassword()
      if (await isGuessable(new_password, { email, project: app.config.PROJECT_NAME }))
        throw new CommonPassword('new_password')
      const hashed_password = await passwords.renew(new_password, turn)
      return users.changePassword(request.user, {
        verified: current,
        hashed_password,
        ip_address: request.ip,
      })
    }
    // A sign-in may renew the hash meanwhile: then the password is still right, and the second try says so.
    if (!(await change()) && !(await change())) throw new IncorrectPassword()
    request.record('password_changed')
    app.removeEndedSessionsOf(request.user.id)
    app.mail.wake()
    return { message: 'Password updated successfully' }
  })
  app.delete('/users/me', { schema: deleteUserMe }, async (request) => {
    if (request.user.is_superuser) throw new SuperuserDeletesSelf()
    await users.deleteOwn(request.user.id)
    request.record('user_deleted')
    await app.removeRowsOf(request.user.id)
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

export function usersSuperuser(app: SignedInApp) {
  const { accounts, passwords } = app.auth
  const users = userStore(app.db, app.config)

  /** By whoever knows the address that the user has, or gets. */
  async function isGuessableOf(id: string, password: string, newEmail = '') {
    const project = app.config.PROJECT_NAME
    const oldEmail = (await users.emailOf(id)) ?? ''
    const guesses = [oldEmail, newEmail].map((email) => isGuessable(password, { email, project }))
    return (await Promise.all(guesses)).includes(true)
  }

  app.get('/users/', { schema: readUsers }, (request) => users.page(request.query, () => !request.ended))
  app.post('/users/', { schema: createUser }, async (request, reply) => {
    const { password, ...account } = request.body
    await refuseCommon(app, request.body, EmailTakenAtCreation)
    const user = await accounts.createWithWelcome({
      ...account,
      hashed_password: await passwords.hash(password, reply.turn(request.user.id)),
    })
    if (!user) throw new EmailTakenAtCreation()
    request.record('user_created', { user_id: user.id })
    app.mail.wake()
    return user
  })
  app.patch('/users/:user_id', { schema: updateUser }, async (request, reply) => {
    const { password, ...changes } = await spelled(request.body, accounts)
    const id = request.params.user_id
    if (password !== undefined && (await isGuessableOf(id, password, changes.email))) {
      await users.checkUpdate(id, changes)
      throw new CommonPassword('password')
    }
    const turn = reply.turn(request.user.id)
    const hashed_password = password === undefined ? undefined : await passwords.hash(password, turn)
    const { user, changed } = await users.update(id, { ...changes, hashed_password })
    request.record('user_updated', { user_id: user.id, changed })
    app.removeEndedSessionsOf(user.id)
    app.mail.wake()
    return user
  })
  app.delete('/users/:user_id', { schema: deleteUser }, async (request) => {
    const id = request.params.user_id.toLowerCase()
    if (id === request.user.id) throw new SuperuserDeletesSelf()
    await users.delete(id)
    request.record('user_deleted', { user_id: id })
    await app.removeRowsOf(id)
    return deleted
  })
}
