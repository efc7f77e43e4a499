import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { App, SignedInApp } from '../../contract/contract.ts'
import { Html, html } from '../../http/pages/html.ts'
import type { WebPage } from '../../http/pages/layout.ts'
import { type ErrorBody, answerWithPages } from '../../http/pages/web-page.ts'
import {
  createRecoveryCodes,
  deleteFactor,
  enrollTotp,
  listFactors,
  verifyFactor,
} from '../factors/manage-factors.ts'
import { signOut } from '../sign-out.ts'
import { faultPage, passingError } from './mailed-link.ts'
import {
  BEGIN_AGAIN,
  type Said,
  TokenForm,
  codeField,
  codePage,
  formOf,
  formTo,
  passwordRoutes,
  sentIn,
  sessionOfForm,
  signInFaults,
  signInForm,
  titleOf,
} from './sign-in-form.ts'

const PATH = '/second-factor'

/**
 * /second-factor: for installations without a frontend, the way to a second factor and out of one. Whoever has the password (and a
 * code, where there is one already) sets up an authenticator, makes new recovery codes, or removes one. There is no cookie:
 * the session's token is in the forms, and the session ends with what it was for.
 */
export function secondFactorPage(app: App) {
  const signedInApp = app as App & SignedInApp
  const enroll = enrollTotp(signedInApp)
  const verify = verifyFactor(signedInApp)
  const makeCodes = createRecoveryCodes(signedInApp)
  const remove = deleteFactor(signedInApp)
  const end = signOut(signedInApp)
  const asSignedIn = sessionOfForm(app)
  const path = `${app.config.publicPath}${PATH}`
  answerWithPages(app, (error, request) => errorPage(path, error, request))

  app.get(PATH, { schema: { hide: true } }, () => signInPage(path, {}))

  passwordRoutes(app, PATH, choiceOf(app))

  const byToken = { limit: false } as const
  app.post(`${PATH}/set-up`, { schema: formOf(TokenForm), config: byToken }, async (request) => {
    const { session } = request.body
    const { id, secret, otpauth_uri } = await enroll(null, await asSignedIn(request, session))
    return scanPage(path, { session, id, secret, uri: otpauth_uri }, {})
  })

  app.post(`${PATH}/confirm`, { schema: formOf(ConfirmForm), config: byToken }, async (request) => {
    const { session, id, code } = request.body
    const signedIn = await asSignedIn(request, session)
    const { recovery_codes } = await verify(id, code, signedIn)
    await end(signedIn)
    return donePage('Signing in asks for a code from now on', recovery_codes)
  })

  app.post(`${PATH}/recovery-codes`, { schema: formOf(TokenForm), config: byToken }, async (request) => {
    const signedIn = await asSignedIn(request, request.body.session)
    const { recovery_codes } = await makeCodes(signedIn)
    await end(signedIn)
    return donePage('These are your new recovery codes', recovery_codes)
  })

  app.post(`${PATH}/remove`, { schema: formOf(RemoveForm), config: byToken }, async (request) => {
    const signedIn = await asSignedIn(request, request.body.session)
    await remove(request.body.id, signedIn)
    await end(signedIn)
    return donePage('The authenticator was removed', [])
  })
}

/** What somebody sees who has just signed in: the way to a second factor, or out of one. @param app where that page is */
export function choiceOf(app: App) {
  const path = `${app.config.publicPath}${PATH}`
  const list = listFactors(app as App & SignedInApp)
  const asSignedIn = sessionOfForm(app)
  return async (request: FastifyRequest, token: string): Promise<WebPage> => {
    const { data } = await list(await asSignedIn(request, token))
    const counting = data.filter(({ verified }) => verified)
    return counting.length === 0 ? beginPage(path, token) : managePage(path, token, counting)
  }
}

/** Asks for the code of somebody whose first step is done. */
export const codePageOf = ({ config }: App, challenge: string) =>
  codePage(`${config.publicPath}${PATH}`, challenge, {})

const RemoveForm = Type.Object({ session: Type.String(), id: Type.String({ format: 'uuid' }) })
const ConfirmForm = Type.Object({
  session: Type.String(),
  id: Type.String({ format: 'uuid' }),
  // Shown again where the code was wrong.
  secret: Type.String({ pattern: '^[A-Z2-7]{16,64}$' }),
  uri: Type.String({ pattern: '^otpauth://totp/', maxLength: 2048 }),
  code: Type.String(),
})

/** The form again, where that helps. */
function errorPage(path: string, answer: ErrorBody, request: FastifyRequest): WebPage | Promise<WebPage> {
  const { challenge, session, id, secret, uri, email } = sentIn(request)
  const passing = passingError(answer)
  const error = passing ?? signInFaults[answer.code]
  if (error === undefined)
    return answer.code === 'internal_server_error' ? faultPage : signInPage(path, { error: BEGIN_AGAIN })
  if (challenge !== undefined) return codePage(path, challenge, { error })
  if (session !== undefined && id !== undefined && secret !== undefined && uri !== undefined)
    return scanPage(path, { session, id, secret, uri }, { error })
  return signInPage(path, { email, error })
}

const signInPage = (path: string, said: Said & { readonly email?: string | undefined }): WebPage => ({
  title: titleOf('Second factor', said),
  main: html`<h1>Second factor</h1>
    <p>
      A code of your phone beside your password: whoever learns the password can not sign in with it alone.
    </p>
    ${signInForm(path, said)}`,
})

const beginPage = (path: string, session: string): WebPage => ({
  title: 'Second factor',
  main: html`<h1>Set up an authenticator</h1>
    <p>You need an app that makes codes, such as one of a password manager, on your phone or computer.</p>
    ${formTo(`${path}/set-up`, { session }, 'Set up')}`,
})

interface Counting {
  readonly id: string
  readonly name: string | null
  readonly created_at: Date
}

const managePage = (path: string, session: string, factors: readonly Counting[]): WebPage => ({
  title: 'Second factor',
  main: html`<h1>Signing in asks for a code</h1>
    <p>Your account has ${factors.length === 1 ? 'an authenticator' : `${factors.length} authenticators`}.</p>
    ${formTo(`${path}/recovery-codes`, { session }, 'Make new recovery codes')}
    ${factors.map(({ id, name, created_at }) =>
      formTo(
        `${path}/remove`,
        { session, id },
        `Remove ${name ?? 'the authenticator'} of ${created_at.toISOString().slice(0, 10)}`,
      ),
    )}`,
})

interface Enrollment {
  readonly session: string
  readonly id: string
  readonly secret: string
  readonly uri: string
}

async function scanPage(
  path: string,
  { session, id, secret, uri }: Enrollment,
  said: Said,
): Promise<WebPage> {
  const { renderSVG } = await import('uqr')
  return {
    title: titleOf('Scan this code', said),
    main: html`<h1>Scan this code</h1>
      <p>
        Scan it with your authenticator, or type the key below it. Then enter the six digits that it shows.
      </p>
      <div class="qr" role="img" aria-label="The key as a QR code">
        ${new Html(renderSVG(uri, { border: 4 }))}
      </div>
      <p class="note">Key: <code>${secret.match(/.{1,4}/g)?.join(' ') ?? secret}</code></p>
      <form method="post" action="${path}/confirm">
        <input type="hidden" name="session" value="${session}" />
        <input type="hidden" name="id" value="${id}" />
        <input type="hidden" name="secret" value="${secret}" />
        <input type="hidden" name="uri" value="${uri}" />
        ${codeField(said)}
        <button>Confirm</button>
      </form>`,
  }
}

const donePage = (title: string, codes: readonly string[]): WebPage => ({
  title,
  main: html`<h1>${title}</h1>
    ${
      codes.length > 0 &&
      html`<p>
          Keep these recovery codes where you find them without your phone. Each is good once, in place of a
          code. They are not shown again.
        </p>
        <pre>${new Html(codes.join('\n'))}</pre>`
    }
    <p class="note">You can close this page.</p>`,
})
