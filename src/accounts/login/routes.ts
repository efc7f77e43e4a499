import type { FastifyRequest } from 'fastify'
import type { App, SignedInApp } from '../../contract/contract.ts'
import { UnknownUsername } from '../../contract/errors.ts'
import {
  accessToken,
  logout,
  recoverPassword,
  recoverPasswordHtml,
  refreshToken,
  resendVerification,
  testToken,
  verifyEmail,
} from './schemas.ts'
import * as schemas from './schemas.ts'
import { refresh } from '../refresh.ts'
import { resetPassword } from '../reset-password.ts'
import { signIn } from '../sign-in.ts'
import { signOut } from '../sign-out.ts'

export function loginPublic(app: App) {
  const { accounts, knownNetworks, level, recovery, verification } = app.auth

  /** Whether whoever has this address signed in from a network before. */
  async function isKnown(email: string, network: string): Promise<boolean> {
    const user = await accounts.findForSignIn(email)
    return user !== undefined && user.known_networks.includes(knownNetworks.nameOf(user.id, network))
  }

  /**
   * Has a mail sent that anybody may ask for. Whoever the account knows gets it even where others of their network had
   * too many, and is told the same as all are: it must not show who has an account.
   *
   * @throws TooManyRequests
   */
  async function requestMail(
    request: FastifyRequest,
    address: string,
    send: (email: string, isKnown: boolean) => Promise<void>,
  ) {
    await level(async () => {
      const email = await accounts.spelling(address)
      const known = await isKnown(email, request.network)
      if (known || !request.tooMany) await send(email, known)
      app.mail.wake()
    })
    if (request.tooMany) throw request.tooMany
  }

  const openSession = signIn(app)
  const form = { schema: accessToken, config: { limit: 'login_network' } } as const
  app.post('/login/access-token', form, async (request, reply) => {
    const tokens = await openSession(request.body, request, reply)
    return reply.header('cache-control', 'no-store').send(tokens)
  })

  // No limit by network: a token of 256 bits can't be guessed, and a wrong one costs no query.
  const config = { limit: false } as const
  const rotateToken = refresh(app)
  app.post('/login/refresh-token', { schema: refreshToken, config }, async (request, reply) => {
    const tokens = await rotateToken(request.body.refresh_token, request)
    return reply.header('cache-control', 'no-store').send(tokens)
  })

  const mailed = { limit: 'mail_network', refusesLate: true } as const
  const recover = { schema: recoverPassword, config: mailed }
  app.post('/password-recovery/:email', recover, async (request) => {
    await requestMail(request, request.params.email, recovery.request)
    request.record('recovery_requested')
    return { message: 'If that email is registered, we sent a password recovery link' }
  })

  const reset = resetPassword(app)
  app.post('/reset-password/', { schema: schemas.resetPassword, config }, async (request, reply) => {
    await reset(request.body, request, reply)
    return { message: 'Password updated successfully' }
  })

  app.post('/verify-email/', { schema: verifyEmail, config }, async (request) => {
    await request.verifyEmail(request.body.token)
    return { message: 'Email verified successfully' }
  })

  const resend = { schema: resendVerification, config: mailed }
  app.post('/verify-email/resend', resend, async (request) => {
    await requestMail(request, request.body.email, verification.request)
    return { message: 'If that email is registered and not verified, we sent a verification link' }
  })
}

export function loginSignedIn(app: SignedInApp) {
  app.post('/login/test-token', { schema: testToken }, (request) => request.user)

  const endSession = signOut(app)
  app.post('/login/logout', { schema: logout }, async (request) => {
    await endSession(request)
    return { message: 'Signed out' }
  })
}

export function loginSuperuser(app: App) {
  app.post(
    '/password-recovery-html-content/:email',
    { schema: recoverPasswordHtml },
    async (request, reply) => {
      const { accounts, recovery } = app.auth
      const issued = await recovery.issue(await accounts.spelling(request.params.email))
      if (!issued) throw new UnknownUsername()
      request.record('recovery_link_shown', { user_id: issued.user_id })
      app.mail.wake()
      const { html } = await app.mail.compose({ message: 'recovery', recipient: issued.email, ...issued })
      return reply.type('text/html; charset=utf-8').header('cache-control', 'no-store').send(html)
    },
  )
}
