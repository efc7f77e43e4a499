import type { App, SignedInApp } from '../contract/contract.ts'
import {
  createApiKey,
  deleteApiKey,
  deleteApiKeyOf,
  listApiKeys,
  listApiKeysOf,
} from './api-keys/manage-api-keys.ts'
import { readActivity, readAudit } from './audit/read-audit.ts'
import { changePassword } from './change-password.ts'
import { changeProfile } from './change-profile.ts'
import { deleteOwnAccount, deleteUser } from './delete-account.ts'
import {
  createRecoveryCodes,
  deleteFactor,
  enrollTotp,
  listFactors,
  resetFactors,
  verifyFactor,
} from './factors/manage-factors.ts'
import { showSecondFactor } from './factors/second-factor.ts'
import { comeBack } from './identities/come-back.ts'
import { goToProvider, linkIdentity, listProviders } from './identities/go-to-provider.ts'
import {
  listIdentities,
  listIdentitiesOf,
  removeIdentity,
  removeIdentityOf,
} from './identities/manage-identities.ts'
import { signInWithProvider } from './identities/sign-in-with-provider.ts'
import { changeUser, createUser, listUsers, readUser } from './users/manage-users.ts'
import {
  addPasskey,
  deletePasskey,
  deletePasskeyOf,
  listPasskeys,
  listPasskeysOf,
  passkeyOptions,
  renamePasskey,
} from './passkeys/manage-passkeys.ts'
import { signInOptions, signInWithPasskey } from './passkeys/sign-in-with-passkey.ts'
import { reauthenticate } from './reauthenticate.ts'
import { recoverPassword, showRecoveryMail } from './recovery/recover-password.ts'
import { refresh } from './refresh.ts'
import { resetPassword } from './recovery/reset-password.ts'
import * as keys from './schemas/api-keys.ts'
import * as audits from './schemas/audit.ts'
import * as factors from './schemas/factors.ts'
import * as identities from './schemas/identities.ts'
import * as login from './schemas/login.ts'
import * as passkeys from './schemas/passkeys.ts'
import * as development from './schemas/private.ts'
import * as sessions from './schemas/sessions.ts'
import * as users from './schemas/users.ts'
import { signIn } from './sign-in.ts'
import { endOtherSessions, endOwnSession, listSessions, signOut } from './sign-out.ts'
import { createPrivately, signUp } from './sign-up.ts'
import { undoEmailChange } from './address/undo-email-change.ts'
import { resendVerification, verifyEmail } from './address/verify-email.ts'

/**
 * Every route of accounts, by scope: schema, limit, and the function of its flow, which has a file of its own.
 */

/** A token of 256 bits can't be guessed, and a forged one is refused without a query: such routes need no limit. */
const byToken = { limit: false } as const
/** Mails that anybody may ask for. Beyond the limit the handler answers, in the same time for every address. */
const byMail = { limit: 'mail_network', refusesLate: true } as const

export function accountsPublic(app: App) {
  const register = signUp(app)
  const signup = { schema: users.registerUser, config: { limit: 'signup_network' } } as const
  app.post('/users/signup', signup, (request, reply) => register(request.body, request, reply))

  const open = signIn(app)
  const signin = { schema: login.accessToken, config: { limit: 'login_network' } } as const
  app.post('/login/access-token', signin, async (request, reply) => {
    const tokens = await open(request.body, request, reply)
    return reply.header('cache-control', 'no-store').send(tokens)
  })

  const show = showSecondFactor(app)
  const second = { schema: factors.secondFactor, config: { limit: 'login_network' } } as const
  app.post('/login/second-factor', second, async (request, reply) => {
    const { challenge, code } = request.body
    await request.limitNetwork('login_network')
    return reply.header('cache-control', 'no-store').send(await show(challenge, code, request))
  })

  app.get('/login/providers', { schema: identities.readProviders }, () => listProviders(app))

  const go = goToProvider(app)
  const going = { schema: identities.goToProvider, config: { limit: 'provider_network' } } as const
  app.get('/login/oidc/:provider', going, ({ params, query }, reply) => go(params.provider, query, reply))

  const back = comeBack(app)
  app.get('/login/oidc/:provider/callback', { schema: identities.comeBack }, (request, reply) =>
    back(request.params.provider, request, reply),
  )

  const enter = signInWithProvider(app)
  const entering = { schema: identities.signInWithProvider, config: byToken } as const
  app.post('/login/oidc/token', entering, async (request, reply) =>
    reply.header('cache-control', 'no-store').send(await enter(request.body, request)),
  )

  const beginning = { schema: passkeys.signInOptions, config: { limit: 'passkey_network' } } as const
  app.post('/login/passkey/options', beginning, signInOptions(app))

  const openByPasskey = signInWithPasskey(app)
  const byPasskey = { schema: passkeys.signIn, config: { limit: 'login_network' } } as const
  app.post('/login/passkey', byPasskey, async (request, reply) => {
    await request.limitNetwork('login_network')
    return reply.header('cache-control', 'no-store').send(await openByPasskey(request.body, request))
  })

  const rotate = refresh(app)
  app.post(
    '/login/refresh-token',
    { schema: login.refreshToken, config: byToken },
    async (request, reply) => {
      const tokens = await rotate(request.body.refresh_token, request)
      return reply.header('cache-control', 'no-store').send(tokens)
    },
  )

  const recover = recoverPassword(app)
  const recovery = { schema: login.recoverPassword, config: byMail }
  app.post('/password-recovery/:email', recovery, async (request) => {
    await recover(request.params.email, request)
    return { message: 'If that email is registered, we sent a password recovery link' }
  })

  const reset = resetPassword(app)
  app.post('/reset-password/', { schema: login.resetPassword, config: byToken }, async (request, reply) => {
    await reset(request.body, request, reply)
    return { message: 'Password updated successfully' }
  })

  const verify = verifyEmail(app)
  app.post('/verify-email/', { schema: login.verifyEmail, config: byToken }, async (request) => {
    await verify(request.body.token, request)
    return { message: 'Email verified successfully' }
  })

  const undo = undoEmailChange(app)
  app.post('/undo-email-change/', { schema: login.undoEmailChange, config: byToken }, async (request) => {
    await undo(request.body.token, request)
    return { message: 'Email address restored' }
  })

  const resend = resendVerification(app)
  app.post('/verify-email/resend', { schema: login.resendVerification, config: byMail }, async (request) => {
    await resend(request.body.email, request)
    return { message: 'If that email is registered and not verified, we sent a verification link' }
  })
}

export function accountsSignedIn(app: SignedInApp) {
  app.post('/login/test-token', { schema: login.testToken }, (request) => request.user)
  app.get('/users/me', { schema: users.readUserMe }, (request) => request.user)

  const read = readUser(app)
  app.get('/users/:user_id', { schema: users.readUserById }, (request) =>
    read(request.params.user_id, request),
  )

  const change = changeProfile(app)
  app.patch('/users/me', { schema: users.updateUserMe }, (request) => change(request.body, request))

  const setPassword = changePassword(app)
  app.patch('/users/me/password', { schema: users.updatePasswordMe }, async (request, reply) => {
    await setPassword(request.body, request, reply)
    return { message: 'Password updated successfully' }
  })

  const deleteOwn = deleteOwnAccount(app)
  app.delete('/users/me', { schema: users.deleteUserMe }, async (request) => {
    await deleteOwn(request)
    return { message: 'User deleted successfully' }
  })

  app.get('/users/me/factors', { schema: factors.readFactors }, listFactors(app))

  const enroll = enrollTotp(app)
  app.post('/users/me/factors/totp', { schema: factors.enrollTotp }, async (request, reply) => {
    const enrollment = await enroll(request.body.name ?? null, request)
    return reply.header('cache-control', 'no-store').send(enrollment)
  })

  const verify = verifyFactor(app)
  app.post('/users/me/factors/:id/verify', { schema: factors.verifyTotp }, async (request, reply) => {
    const given = await verify(request.params.id, request.body.code, request)
    return reply.header('cache-control', 'no-store').send(given)
  })

  const remove = deleteFactor(app)
  app.delete('/users/me/factors/:id', { schema: factors.deleteFactor }, async (request) => {
    await remove(request.params.id, request)
    return { message: 'Factor removed' }
  })

  const makeCodes = createRecoveryCodes(app)
  app.post('/users/me/recovery-codes', { schema: factors.createRecoveryCodes }, async (request, reply) =>
    reply.header('cache-control', 'no-store').send(await makeCodes(request)),
  )

  app.get('/users/me/passkeys', { schema: passkeys.readPasskeys }, listPasskeys(app))

  app.post('/users/me/passkeys/options', { schema: passkeys.passkeyOptions }, passkeyOptions(app))

  const add = addPasskey(app)
  app.post('/users/me/passkeys', { schema: passkeys.createPasskey }, (request) => add(request.body, request))

  const rename = renamePasskey(app)
  app.patch('/users/me/passkeys/:id', { schema: passkeys.updatePasskey }, (request) =>
    rename(request.params.id, request.body.name, request),
  )

  const removePasskey = deletePasskey(app)
  app.delete('/users/me/passkeys/:id', { schema: passkeys.deletePasskey }, async (request) => {
    await removePasskey(request.params.id, request)
    return { message: 'Passkey removed' }
  })

  app.get('/users/me/api-keys', { schema: keys.readApiKeys }, listApiKeys(app))

  const makeKey = createApiKey(app)
  app.post('/users/me/api-keys', { schema: keys.createApiKey }, async (request, reply) =>
    reply.header('cache-control', 'no-store').send(await makeKey(request.body, request)),
  )

  const removeKey = deleteApiKey(app)
  app.delete('/users/me/api-keys/:id', { schema: keys.deleteApiKey }, async (request) => {
    await removeKey(request.params.id, request)
    return { message: 'API key deleted' }
  })

  app.get('/users/me/identities', { schema: identities.readIdentities }, listIdentities(app))

  const link = linkIdentity(app)
  const linking = { schema: identities.linkIdentity, config: { limit: 'provider_network' } } as const
  app.post('/users/me/identities/:id', linking, (request, reply) =>
    link(request.params.id, request.query.return_to, request, reply),
  )

  const unlink = removeIdentity(app)
  app.delete('/users/me/identities/:id', { schema: identities.deleteIdentity }, async (request) => {
    await unlink(request.params.id, request)
    return { message: 'Identity removed' }
  })

  const again = reauthenticate(app)
  const reauthentication = { schema: login.reauthenticate, config: { limit: 'login_network' } } as const
  app.post('/login/reauthenticate', reauthentication, async (request, reply) => {
    await again(request.body, request, reply)
    return { message: 'Reauthenticated' }
  })

  const end = signOut(app)
  app.post('/login/logout', { schema: login.logout }, async (request) => {
    await end(request)
    return { message: 'Signed out' }
  })

  const activity = readActivity(app)
  app.get('/users/me/activity', { schema: audits.readActivity }, (request) =>
    activity(request.query, request),
  )

  const listOwn = listSessions(app)
  app.get('/users/me/sessions', { schema: sessions.readSessions }, ({ query, user }) => listOwn(query, user))

  const endOthers = endOtherSessions(app)
  app.delete('/users/me/sessions', { schema: sessions.deleteSessions }, async (request) => {
    await endOthers(request)
    return { message: 'Other sessions ended' }
  })

  const endOne = endOwnSession(app)
  app.delete('/users/me/sessions/:session_id', { schema: sessions.deleteSession }, async (request) => {
    await endOne(request.params.session_id, request)
    return { message: 'Session ended' }
  })
}

export function accountsSuperuser(app: SignedInApp) {
  const audit = readAudit(app)
  app.get('/audit/', { schema: audits.readAudit }, (request) => audit(request.query))

  const list = listUsers(app)
  app.get('/users/', { schema: users.readUsers }, (request) => list(request.query, request))

  const create = createUser(app)
  app.post('/users/', { schema: users.createUser }, (request, reply) => create(request.body, request, reply))

  const change = changeUser(app)
  app.patch('/users/:user_id', { schema: users.updateUser }, (request, reply) =>
    change(request.params.user_id, request.body, request, reply),
  )

  const remove = deleteUser(app)
  app.delete('/users/:user_id', { schema: users.deleteUser }, async (request) => {
    await remove(request.params.user_id, request)
    return { message: 'User deleted successfully' }
  })

  const keysOf = listApiKeysOf(app)
  app.get('/users/:user_id/api-keys', { schema: keys.readApiKeysOf }, (request) =>
    keysOf(request.params.user_id),
  )

  const removeKeyOf = deleteApiKeyOf(app)
  app.delete('/users/:user_id/api-keys/:id', { schema: keys.deleteApiKeyOf }, async (request) => {
    const { user_id, id } = request.params
    await removeKeyOf(user_id, id, request)
    return { message: 'API key deleted' }
  })

  const passkeysOf = listPasskeysOf(app)
  app.get('/users/:user_id/passkeys', { schema: passkeys.readPasskeysOf }, (request) =>
    passkeysOf(request.params.user_id),
  )

  const identitiesOf = listIdentitiesOf(app)
  app.get('/users/:user_id/identities', { schema: identities.readIdentitiesOf }, (request) =>
    identitiesOf(request.params.user_id),
  )

  const unlinkOf = removeIdentityOf(app)
  app.delete('/users/:user_id/identities/:id', { schema: identities.deleteIdentityOf }, async (request) => {
    const { user_id, id } = request.params
    await unlinkOf(user_id, id, request)
    return { message: 'Identity removed' }
  })

  const removePasskeyOf = deletePasskeyOf(app)
  app.delete('/users/:user_id/passkeys/:id', { schema: passkeys.deletePasskeyOf }, async (request) => {
    const { user_id, id } = request.params
    await removePasskeyOf(user_id, id, request)
    return { message: 'Passkey removed' }
  })

  const withoutFactors = resetFactors(app)
  app.delete('/users/:user_id/factors', { schema: factors.resetFactors }, async (request) => {
    await withoutFactors(request.params.user_id, request)
    return { message: 'Factors removed' }
  })

  const show = showRecoveryMail(app)
  const shown = { schema: login.recoverPasswordHtml }
  app.post('/password-recovery-html-content/:email', shown, async (request, reply) => {
    const html = await show(request.params.email, request)
    return reply.type('text/html; charset=utf-8').header('cache-control', 'no-store').send(html)
  })
}

/** Only where ENVIRONMENT is local. */
export function accountsPrivate(app: App) {
  const create = createPrivately(app)
  const options = { schema: development.createUser, config: { limit: false } } as const
  app.post('/private/users/', options, (request, reply) => create(request.body, request, reply))
}
