import { randomBytes } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { parseCookie } from 'cookie'
import type { App } from '../../contract/contract.ts'
import {
  AccountExists,
  EmailNotVerified,
  IdentityTaken,
  InactiveUser,
  ProviderEmailNotVerified,
  ProviderUnavailable,
  SecondFactorRequired,
  TooManyRequests,
} from '../../contract/errors.ts'
import { html } from '../../http/pages/html.ts'
import type { WebPage } from '../../http/pages/layout.ts'
import { answerWithPages } from '../../http/pages/web-page.ts'
import { bindingCookie, listProviders } from '../identities/go-to-provider.ts'
import { challengeOf, signInWithProvider } from '../identities/sign-in-with-provider.ts'
import { faultPage, passingError } from './mailed-link.ts'
import { choiceOf, codePageOf } from './second-factor.ts'

const PATH = '/sign-in'

/**
 * /sign-in: for installations without a frontend, where browsers go to an identity provider, and where they come back. Whoever
 * signs in gets to the second factor, as on /second-factor.
 */
export function signInWithProviderPage(app: App) {
  const open = signInWithProvider(app)
  const choice = choiceOf(app)
  const path = `${app.config.publicPath}${PATH}`
  answerWithPages(app, (answer) => {
    if (answer.code === 'internal_server_error') return faultPage
    return failedPage(path, passingError(answer) ?? errors.get(answer.code) ?? BEGIN_AGAIN)
  })

  app.get(PATH, { schema: { hide: true, querystring: CameBack } }, ({ query }, reply) => {
    const { code, linked, error } = query
    if (code !== undefined) return goOnPage(path, code)
    if (app.config.oidc.some(({ name }) => name === linked)) return linkedPage(linked!)
    const verifier = randomBytes(32).toString('base64url')
    reply.header(
      'set-cookie',
      bindingCookie(app.config, { name: VERIFIER, value: verifier, path, maxAge: 3600 }),
    )
    return choosePage(app, verifier, error === undefined ? undefined : (errors.get(error) ?? BEGIN_AGAIN))
  })

  const entering = {
    schema: { hide: true, consumes: ['application/x-www-form-urlencoded'], body: CodeForm },
    config: { limit: false },
  } as const
  app.post(PATH, entering, async (request) => {
    try {
      // Without the cookie of the browser that went, it is somebody else's code.
      const code_verifier = parseCookie(request.headers.cookie ?? '')[VERIFIER] ?? ''
      const { access_token } = await open({ ...request.body, code_verifier }, request)
      return await choice(request, access_token)
    } catch (error) {
      if (!(error instanceof SecondFactorRequired)) throw error
      return codePageOf(app, String(error.more.challenge))
    }
  })
}

/** Holds what a code is asked for with, as a frontend holds it in its tab. */
const VERIFIER = 'sign_in'

const text = Type.Optional(Type.String())
const CameBack = Type.Object({ code: text, linked: text, error: text })
const CodeForm = Type.Object({ code: Type.String() })

const BEGIN_AGAIN = 'That took too long, was done already, or was called off. Begin again.'

/** By what the URL says, which anybody can write. */
const errors = new Map([
  [
    AccountExists.code,
    'There is an account with your address already. Choose a new password for it (“Reset your password”); then the provider can be linked to it.',
  ],
  [
    ProviderEmailNotVerified.code,
    'The provider did not say that your address is confirmed. Confirm it there.',
  ],
  [ProviderUnavailable.code, 'The provider does not answer. Try again in a minute.'],
  [InactiveUser.code, 'This account is deactivated.'],
  [EmailNotVerified.code, 'Confirm the address first: we mailed you a link.'],
  [IdentityTaken.code, 'This identity belongs to another account.'],
  [TooManyRequests.code, 'That was tried too often. Try again in a minute.'],
])

function choosePage(app: App, verifier: string, error: string | undefined): WebPage {
  const { data } = listProviders(app)
  const challenge = String(challengeOf(verifier))
  const title = 'Sign in'
  return {
    title: error === undefined ? title : `Error: ${title}`,
    main: html`<h1>${title}</h1>
      ${error !== undefined && html`<p class="error" role="alert">${error}</p>`}
      ${data.length === 0 && html`<p>No identity provider is set up.</p>`}
      ${data.map(({ name, url }) => html`<p><a class="button" href="${`${url}?code_challenge=${challenge}`}">Go on with ${inWords(name)}</a></p>`)}
      <p class="note"><a href="${app.config.publicPath}/second-factor">Sign in with a password</a></p>`,
  }
}

const failedPage = (path: string, error: string): WebPage => ({
  title: 'Error: Sign in',
  main: html`<h1>Sign in</h1>
    <p class="error" role="alert">${error}</p>
    <p><a class="button" href="${path}">Begin again</a></p>`,
})

/** `my_company` as people write it. */
const inWords = (name: string) =>
  name.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => ` ${letter.toUpperCase()}`).trim()

/** A form, as a page that is only looked at, or looked at first by a scanner, must not use the code up. */
const goOnPage = (path: string, code: string): WebPage => ({
  title: 'Sign in',
  main: html`<h1>You are back</h1>
    <p>The provider has told us who you are.</p>
    <form method="post" action="${path}">
      <input type="hidden" name="code" value="${code}" />
      <button autofocus>Sign in</button>
    </form>`,
})

const linkedPage = (provider: string): WebPage => ({
  title: 'Linked',
  main: html`<h1>${inWords(provider)} is linked</h1>
    <p>You can sign in with it from now on.</p>
    <p class="note">You can close this page.</p>`,
})
