import { changePassword } from '../change-password.ts'
import { changeProfile } from '../change-profile.ts'
import { deleteOwnAccount, deleteUser as removeUser } from '../delete-account.ts'
import * as manage from '../manage-users.ts'
import { isGuessable } from '../passwords/common-passwords.ts'
import type { App, SignedInApp } from '../../contract/contract.ts'
import { type ApiErrorKind, CommonPassword, EmailTakenAtSignup } from '../../contract/errors.ts'
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

type Account = Record<'email' | 'password', string>

const deleted = { message: 'User deleted successfully' }

export function usersPublic(app: App) {
  const { accounts, level, passwords, register } = app.auth
  // Where addresses have to be verified, nobody learns from a sign-up which ones are in use.
  const tells = app.config.EMAIL_VERIFICATION !== 'required'

  const signup = { schema: registerUser, config: { limit: 'signup_network' } } as const
  app.post('/users/signup', signup, async (request, reply) => {
    const { password, ...account } = request.body
    await refuseCommon(app, request.body, tells ? EmailTakenAtSignup : undefined)
    const signUp = async () => {
      const hashed_password = await passwords.hash(password, reply.turn(account.email.toLowerCase()))
      const email = await accounts.spelling(account.email)
      return register({ ...account, email, hashed_password, ip_address: request.ip })
    }
    const { user, isMadeUp } = await (tells ? signUp() : level(signUp))
    if (isMadeUp && tells) throw new EmailTakenAtSignup()
    if (isMadeUp) request.record('user_registered', { reason: 'address in use' })
    else request.record('user_registered', { user_id: user.id })
    app.mail.wake()
    return isMadeUp ? { ...user, email: account.email } : user
  })
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
