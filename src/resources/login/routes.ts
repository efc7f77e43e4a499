import type { Static } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { SigningIn } from '../../auth/accounts.ts'
import type { App } from '../../contract.ts'
import {
  type ApiErrorKind,
  EmailNotVerified,
  InactiveUser,
  IncorrectEmailOrPassword,
  InvalidCredentials,
  UnknownUsername,
} from '../../errors.ts'
import {
  type LoginForm,
  accessToken,
  logout,
  recoverPassword,
  recoverPasswordHtml,
  refreshToken,
  resendVerification,
  resetPassword,
  testToken,
  verifyEmail,
} from './schemas.ts'

/** No password is longer; what is longer is not worth a hash. */
const PASSWORD_LENGTH = 128

export function loginPublic(app: App) {
  const { accounts, knownNetworks, passwords, refresh, sessions, recovery, verification } = app.auth

  /** Limits sign-ins to an account, which may be nobody's. @throws TooManyRequests */
  async function limitSignIn(request: SignInRequest, user: SigningIn | undefined) {
    const { network, body } = request
    const account = user?.id ?? body.username.toLowerCase()
    await request.limit('login', account, network)
    if (!user?.known_networks.includes(knownNetworks.nameOf(user.id, network)))
      await request.limit('login_by_strangers', account)
  }

  /** Undefined where the hash changed after it was verified. */
  async function openSession(request: SignInRequest) {
    const { username, password } = request.body
    const user = await accounts.findForSignIn(username)
    await limitSignIn(request, user)
    const { matches, outdated } = await passwords.verify(user?.hashed_password, password, (isRight) =>
      request.settle(isRight),
    )
    const refuse = (refusal: ApiErrorKind, reason: string) => {
      request.record('sign_in', { user_id: user?.id, reason })
      return new refusal()
    }
    if (!user || !matches) throw refuse(IncorrectEmailOrPassword, user ? 'password' : 'address')
    if (!user.is_active) throw refuse(InactiveUser, 'inactive')
    if (!user.is_verified && app.config.EMAIL_VERIFICATION === 'required')
      throw refuse(EmailNotVerified, 'unverified')
    return sessions.open({
      user_id: user.id,
      verified_hash: user.hashed_password,
      renewed_hash: outdated ? await passwords.renew(password) : undefined,
      user_agent: request.headers['user-agent'],
      ip_address: request.ip,
      network: knownNetworks.nameOf(user.id, request.network),
    })
  }

  const signIn = { schema: accessToken, config: { limit: 'login_network' } } as const
  app.post('/login/access-token', signIn, async (request, reply) => {
    if ([...request.body.password].length > PASSWORD_LENGTH) throw wrongPassword(request)
    passwords.admit()
    // Another device may renew the hash meanwhile: then the password is still right, and the second try says so.
    const session = (await openSession(request)) ?? (await openSession(request))
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
    return reply.header('cache-control', 'no-store').send(app.auth.tokens(refreshed.session))
  })

  const recover = { schema: recoverPassword, config: { limit: 'mail_network' } } as const
  app.post('/password-recovery/:email', recover, async (request) => {
    await request.limit('mail', request.params.email.toLowerCase())
    await recovery.request(request.params.email)
    request.record('recovery_requested')
    app.mail.wake()
    return { message: 'If that email is registered, we sent a password recovery link' }
  })

  app.post('/reset-password/', { schema: resetPassword, config }, async (request) => {
    await request.resetPassword(request.body.token, request.body.new_password)
    return { message: 'Password updated successfully' }
  })

  app.post('/verify-email/', { schema: verifyEmail, config }, async (request) => {
    await request.verifyEmail(request.body.token)
    return { message: 'Email verified successfully' }
  })

  const resend = { schema: resendVerification, config: { limit: 'mail_network' } } as const
  app.post('/verify-email/resend', resend, async (request) => {
    await request.limit('mail', request.body.email.toLowerCase())
    await verification.request(request.body.email)
    app.mail.wake()
    return { message: 'If that email is registered and not verified, we sent a verification link' }
  })
}

type SignInRequest = FastifyRequest<{ Body: Static<typeof LoginForm> }>

function wrongPassword(request: SignInRequest) {
  request.record('sign_in', { reason: 'password' })
  return new IncorrectEmailOrPassword()
}

const about = ({ user_id, session_id }: { user_id: string; session_id: string }) => ({ user_id, session_id })

export function loginSignedIn(app: App) {
  app.post('/login/test-token', { schema: testToken }, (request) => request.user)
  app.post('/login/logout', { schema: logout }, async (request) => {
    await app.auth.sessions.end(request.user.session_id)
    request.record('sign_out', { session_id: request.user.session_id })
    return { message: 'Signed out' }
  })
}

export function loginSuperuser(app: App) {
  app.post(
    '/password-recovery-html-content/:email',
    { schema: recoverPasswordHtml },
    async (request, reply) => {
      const issued = await app.auth.recovery.issue(request.params.email)
      if (!issued) throw new UnknownUsername()
      const { html } = await app.mail.compose({ message: 'recovery', recipient: issued.email, ...issued })
      return reply.type('text/html; charset=utf-8').header('cache-control', 'no-store').send(html)
    },
  )
}
