import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { App, SignedIn } from '../../contract/contract.ts'
import {
  EmailNotVerified,
  InactiveUser,
  IncorrectCode,
  IncorrectEmailOrPassword,
  SecondFactorNeeded,
  SecondFactorRequired,
} from '../../contract/errors.ts'
import { html } from '../../http/pages/html.ts'
import type { WebPage } from '../../http/pages/layout.ts'
import { showSecondFactor } from '../factors/second-factor.ts'
import { signIn } from '../sign-in.ts'

/**
 * What the pages share that somebody signs in at, for installations without a frontend. There is no cookie: the session's token
 * is in the forms.
 */

const SignInForm = Type.Object({ email: Type.String(), password: Type.String() })
const CodeForm = Type.Object({ challenge: Type.String(), code: Type.String() })
export const TokenForm = Type.Object({ session: Type.String() })

export const formOf = <Body extends ReturnType<typeof Type.Object>>(body: Body) => ({
  hide: true,
  consumes: ['application/x-www-form-urlencoded'],
  body,
})

/** What a page does with the access token of somebody who has just signed in. */
type Inside = (request: FastifyRequest, token: string) => Promise<WebPage>

/**
 * Adds the two steps of a sign-in with a password: `at` takes the form, and `at/code` a code, where one is asked for.
 *
 * @param at path of the page, below PUBLIC_URL's
 */
export function passwordRoutes(app: App, at: string, inside: Inside): void {
  const open = signIn(app)
  const show = showSecondFactor(app)

  const signingIn = { schema: formOf(SignInForm), config: { limit: 'login_network' } } as const
  app.post(at, signingIn, async (request, reply) => {
    try {
      const { access_token } = await open({ ...request.body, username: request.body.email }, request, reply)
      return await inside(request, access_token)
    } catch (error) {
      if (!(error instanceof SecondFactorRequired)) throw error
      return codePage(`${app.config.publicPath}${at}`, String(error.more.challenge), {})
    }
  })

  const showing = { schema: formOf(CodeForm), config: { limit: 'login_network' } } as const
  app.post(`${at}/code`, showing, async (request) => {
    const { challenge, code } = request.body
    await request.limitNetwork('login_network')
    const { access_token } = await show(challenge, code, request)
    return inside(request, access_token)
  })
}

/** @returns what makes a request one of the session whose token the form has. @throws InvalidCredentials, RecentSignInRequired */
export function sessionOfForm({ auth }: App) {
  return async (request: FastifyRequest, token: string) => {
    const user = await auth.sessions.ofToken(token)
    request.currentUser = user
    auth.requireFresh(user)
    return request as FastifyRequest & SignedIn
  }
}

/** What was sent, as far as it is text. */
export function sentIn({ body }: FastifyRequest): Record<string, string | undefined> {
  const isText = (entry: [string, unknown]): entry is [string, string] => typeof entry[1] === 'string'
  return Object.fromEntries(Object.entries({ ...(body as object) }).filter(isText))
}

export const BEGIN_AGAIN = 'That took too long, or was done already. Begin again.'

export const signInFaults: Record<string, string> = {
  [IncorrectEmailOrPassword.code]: 'This address and this password do not belong together.',
  [InactiveUser.code]: 'This account is deactivated.',
  [EmailNotVerified.code]: 'Confirm the address first: we mailed you a link.',
  [IncorrectCode.code]: 'This code is not right, or was used already. Enter the next one.',
  [SecondFactorNeeded.code]: 'For this, sign in with your passkey or with a code.',
}

export interface Said {
  readonly error?: string | undefined
}

export const errorOf = ({ error }: Said) =>
  error !== undefined && html`<p class="error" id="error" role="alert">${error}</p>`
export const titleOf = (title: string, { error }: Said) => (error === undefined ? title : `Error: ${title}`)

export const signInForm = (path: string, said: Said & { readonly email?: string | undefined }) =>
  html`<form method="post" action="${path}">
    ${errorOf(said)}
    <label for="email">Email address</label>
    <input
      id="email"
      name="email"
      type="email"
      value="${said.email ?? ''}"
      autocomplete="username"
      autofocus
    />
    <label for="password">Password</label>
    <input id="password" name="password" type="password" autocomplete="current-password" />
    <button>Go on</button>
  </form>`

export const codePage = (path: string, challenge: string, said: Said): WebPage => ({
  title: titleOf('Enter a code', said),
  main: html`<h1>Enter a code</h1>
    <p>Six digits of your authenticator, or one of your recovery codes.</p>
    <form method="post" action="${path}/code">
      <input type="hidden" name="challenge" value="${challenge}" />
      ${codeField(said)}
      <button>Go on</button>
    </form>`,
})

export const codeField = (said: Said) =>
  html`${errorOf(said)}
    <label for="code">Code</label>
    <input
      id="code"
      name="code"
      autocomplete="one-time-code"
      autocapitalize="none"
      spellcheck="false"
      autofocus
      ${said.error !== undefined && html`aria-describedby="error" aria-invalid="true"`}
    />`

export const formTo = (action: string, fields: Readonly<Record<string, string>>, label: string) =>
  html`<form method="post" action="${action}">${hiddenFields(fields)}<button>${label}</button></form>`

export const hiddenFields = (fields: Readonly<Record<string, string>>) =>
  Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)
