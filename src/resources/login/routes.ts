import type { Static } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { App } from '../../contract.ts'
import { InactiveUser, IncorrectEmailOrPassword, InvalidToken, UnknownUsername } from '../../errors.ts'
import {
  type LoginForm,
  accessToken,
  recoverPassword,
  recoverPasswordHtml,
  resetPassword,
  testToken,
} from './schemas.ts'

/** No password is longer; what is longer is not worth a hash. */
const PASSWORD_LENGTH = 128

type SignInRequest = Pick<FastifyRequest<{ Body: Static<typeof LoginForm> }>, 'body' | 'headers' | 'ip'>

export function loginPublic(app: App) {
  const { accounts, passwords, sessions, recovery, oneTimeTokens } = app.auth

  /** Undefined where the hash changed after it was verified. @throws IncorrectEmailOrPassword, InactiveUser */
  async function openSession({ body, headers, ip }: SignInRequest) {
    const user = await accounts.findByEmail(body.username)
    const { matches, outdated } = await passwords.verify(user?.hashed_password, body.password)
    if (!user || !matches) throw new IncorrectEmailOrPassword()
    if (!user.is_active) throw new InactiveUser()
    return sessions.open({
      user_id: user.id,
      verified_hash: user.hashed_password,
      renewed_hash: outdated ? await passwords.hash(body.password) : undefined,
      user_agent: headers['user-agent'],
      ip_address: ip,
    })
  }

  app.post('/login/access-token', { schema: accessToken }, async (request, reply) => {
    if ([...request.body.password].length > PASSWORD_LENGTH) throw new IncorrectEmailOrPassword()
    // Another device may renew the hash meanwhile: then the password is still right, and the second try says so.
    const session = (await openSession(request)) ?? (await openSession(request))
    if (!session) throw new IncorrectEmailOrPassword()
    return reply.header('cache-control', 'no-store').send(app.auth.tokens(session))
  })

  app.post('/password-recovery/:email', { schema: recoverPassword }, async (request) => {
    await recovery.request(request.params.email)
    app.mail.wake()
    return { message: 'If that email is registered, we sent a password recovery link' }
  })

  app.post('/reset-password/', { schema: resetPassword }, async (request) => {
    const token = await oneTimeTokens.find('reset_password', request.body.token)
    if (!token) throw new InvalidToken()
    if (!token.user_is_active) throw new InactiveUser()
    const done = await recovery.reset(token, await passwords.hash(request.body.new_password))
    if (!done) throw new InvalidToken()
    return { message: 'Password updated successfully' }
  })
}

export function loginSignedIn(app: App) {
  app.post('/login/test-token', { schema: testToken }, (request) => request.user)
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
