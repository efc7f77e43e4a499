import type { Static } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SigningIn } from '../accounts.ts'
import { isTooLong } from '../../text/normal-password.ts'
import type { App, SignedInApp } from '../../contract/contract.ts'
import { readEmail } from '../../text/email-address.ts'
import {
  type ApiErrorKind,
  EmailNotVerified,
  InactiveUser,
  IncorrectEmailOrPassword,
  InvalidCredentials,
} from '../../contract/errors.ts'
import {
  type LoginForm,
  accessToken,
  logout,
  recoverPasswordHtml,
  refreshToken,
  testToken,
} from './schemas.ts'
import * as schemas from './schemas.ts'
import { recoverPassword, showRecoveryMail } from '../recover-password.ts'
import { resetPassword } from '../reset-password.ts'
import { resendVerification, verifyEmail } from '../verify-email.ts'

export function loginPublic(app: App) {
  const { accounts, knownNetworks, passwords, refresh, sessions } = app.auth

  /**
   * Limits sign-ins to an account, which may be nobody's. Its network's limit does not concern those that the account
   * knows: their own holds, and colleagues of a guesser sign in.
   *
   * @returns as whom it waits for a hash
   * @throws TooManyRequests
   */
  async function limitSignIn(request: SignInRequest, user: SigningIn | undefined) {
    const { network, body } = request
    // By address, as a sign-up makes an account of one: counted anew, it would tell which ones had none before.
    const account = (user?.email ?? readEmail(body.username)).toLowerCase()
    const isKnown = user?.known_networks.includes(knownNetworks.nameOf(user.id, network))
    if (!isKnown) await request.limitNetwork('login_network')
    await request.guess(
      ['login', account, network],
      ...(isKnown ? [] : [['login_by_strangers', account] as const]),
      ['sign_ins', account],
    )
    return JSON.stringify(isKnown ? [account, network] : [account])
  }

  /**
   * What a password is compared with. Where addresses have to be verified, an unverified account and a sign-up with an
   * address in use are answered alike, so both are compared as a claim, and the latest sign-up counts: nobody can tell
   * whether theirs or an earlier one made the account.
   */
  function verifiable(user: SigningIn | undefined) {
    if (app.config.EMAIL_VERIFICATION !== 'required') return { real: user?.hashed_password }
    if (!user) return { claimed: null }
    const { hashed_password, claimed_password_hash: claimed } = user
    return user.is_verified ? { real: hashed_password, claimed } : { claimed: claimed ?? hashed_password }
  }

  /** Undefined where the hash changed after it was verified. */
  async function openSession(request: SignInRequest, reply: FastifyReply) {
    const { username, password } = request.body
    const user = await accounts.findForSignIn(readEmail(username))
    const turn = reply.turn(await limitSignIn(request, user))
    const settle = (isRight: boolean) => request.settle(isRight)
    const { real, claimed } = verifiable(user)
    const { matches, isClaimed, outdated } = await passwords.verify(real, password, settle, turn, claimed)
    const refuse = (refusal: ApiErrorKind, reason: string) => {
      request.record('sign_in', { user_id: user?.id, reason })
      return new refusal()
    }
    if (isClaimed) throw refuse(EmailNotVerified, user?.is_verified ? 'claimed' : 'unverified')
    if (!user || !matches) throw refuse(IncorrectEmailOrPassword, user ? 'password' : 'address')
    if (!user.is_active) throw refuse(InactiveUser, 'inactive')
    return sessions.open({
      user_id: user.id,
      verified_hash: user.hashed_password,
      renewed_hash: outdated ? await passwords.renew(password, turn) : undefined,
      user_agent: request.headers['user-agent'],
      ip_address: request.ip,
      network: knownNetworks.nameOf(user.id, request.network),
    })
  }

  const signIn = { schema: accessToken, config: { limit: 'login_network' } } as const
  app.post('/login/access-token', signIn, async (request, reply) => {
    if (isTooLong(request.body.password)) {
      await request.limitNetwork('login_network')
      throw wrongPassword(request)
    }
    passwords.admit(reply.turn())
    // Another device may renew the hash meanwhile: then the password is still right, and the second try says so.
    const session = (await openSession(request, reply)) ?? (await openSession(request, reply))
    if (!session) throw wrongPassword(request)
    request.record('sign_in', { user_id: session.user_id, session_id: session.id })
    return reply.header('cache-control', 'no-store').send(app.auth.tokens(session))
  })

  // No limit by network on what nobody can guess (256 bits): it is refused before the database is asked.
  const config = { limit: false } as const
  app.post('/login/refresh-token', { schema: refreshToken, config }, async (request, reply) => {
    const refreshed = await refresh(request.body.refresh_token, request.ip)
    if (refreshed?.reused) {
      request.record('refresh_reuse', { ...about(refreshed), reason: 'old refresh token' })
      app.mail.wake()
    }
    if (!refreshed?.session) throw new InvalidCredentials()
    const { id: session_id, user_id } = refreshed.session
    request.signedIn = { id: user_id, session_id }
    return reply.header('cache-control', 'no-store').send(app.auth.tokens(refreshed.session))
  })

  const mailed = { limit: 'mail_network', refusesLate: true } as const
  const recover = recoverPassword(app)
  const recovery = { schema: schemas.recoverPassword, config: mailed }
  app.post('/password-recovery/:email', recovery, async (request) => {
    await recover(request.params.email, request)
    return { message: 'If that email is registered, we sent a password recovery link' }
  })

  const reset = resetPassword(app)
  app.post('/reset-password/', { schema: schemas.resetPassword, config }, async (request, reply) => {
    await reset(request.body, request, reply)
    return { message: 'Password updated successfully' }
  })

  const verify = verifyEmail(app)
  app.post('/verify-email/', { schema: schemas.verifyEmail, config }, async (request) => {
    await verify(request.body.token, request)
    return { message: 'Email verified successfully' }
  })

  const resend = resendVerification(app)
  const resending = { schema: schemas.resendVerification, config: mailed }
  app.post('/verify-email/resend', resending, async (request) => {
    await resend(request.body.email, request)
    return { message: 'If that email is registered and not verified, we sent a verification link' }
  })
}

type SignInRequest = FastifyRequest<{ Body: Static<typeof LoginForm> }>

function wrongPassword(request: SignInRequest) {
  request.record('sign_in', { reason: 'password' })
  return new IncorrectEmailOrPassword()
}

const about = ({ user_id, session_id }: { user_id: string; session_id: string }) => ({ user_id, session_id })

export function loginSignedIn(app: SignedInApp) {
  app.post('/login/test-token', { schema: testToken }, (request) => request.user)
  app.post('/login/logout', { schema: logout }, async (request) => {
    await app.auth.sessions.end(request.user.session_id)
    request.record('sign_out', { session_id: request.user.session_id })
    return { message: 'Signed out' }
  })
}

export function loginSuperuser(app: App) {
  const show = showRecoveryMail(app)
  const path = '/password-recovery-html-content/:email'
  app.post(path, { schema: recoverPasswordHtml }, async (request, reply) => {
    const html = await show(request.params.email, request)
    return reply.type('text/html; charset=utf-8').header('cache-control', 'no-store').send(html)
  })
}
