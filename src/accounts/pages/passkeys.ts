import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { App, SignedInApp } from '../../contract/contract.ts'
import { IncorrectPasskey, PasskeysUnavailable, TooManyPasskeys } from '../../contract/errors.ts'
import { html } from '../../http/pages/html.ts'
import type { WebPage } from '../../http/pages/layout.ts'
import { type ErrorBody, answerWithPages } from '../../http/pages/web-page.ts'
import {
  addPasskey,
  deletePasskey,
  listPasskeys,
  passkeyOptions,
  renamePasskey,
} from '../passkeys/manage-passkeys.ts'
import { signInOptions, signInWithPasskey } from '../passkeys/sign-in-with-passkey.ts'
import { signOut } from '../sign-out.ts'
import { askScript } from './ask-for-passkey.ts'
import { faultPage, passingError } from './mailed-link.ts'
import {
  BEGIN_AGAIN,
  type Said,
  TokenForm,
  codePage,
  errorOf,
  formOf,
  formTo,
  hiddenFields,
  passwordRoutes,
  sentIn,
  sessionOfForm,
  signInFaults,
  signInForm,
  titleOf,
} from './sign-in-form.ts'

const PATH = '/passkeys'
const byToken = { limit: false } as const

/**
 * /passkeys: for installations without a frontend. Whoever signs in, with a passkey or a password, adds passkeys, names and removes
 * them. There is no cookie: the session's token is in the forms. A script asks the browser for the passkey, and puts what it answers
 * into a form.
 */
export function passkeysPage(app: App) {
  const path = `${app.config.publicPath}${PATH}`
  answerWithPages(app, (error, request) => errorPage(path, error, request))
  app.get(PATH, { schema: { hide: true } }, () => signInPage(path, {}))
  signInRoutes(app, path)
  manageRoutes(app, path)
}

function signInRoutes(app: App, path: string) {
  const begin = signInOptions(app)
  const openByPasskey = signInWithPasskey(app)
  const manage = management(app, path)

  passwordRoutes(app, PATH, manage)

  const asking = { schema: { hide: true }, config: { limit: 'passkey_network' } } as const
  app.post(`${PATH}/ask`, asking, async () =>
    askPage('Sign in with a passkey', `${path}/sign-in`, await begin(), USED),
  )

  const answering = { schema: formOf(UsedForm), config: { limit: 'login_network' } } as const
  app.post(`${PATH}/sign-in`, answering, async (request) => {
    await request.limitNetwork('login_network')
    const { id, rawId, type, ...response } = request.body
    const answer = { id, rawId, type: type as 'public-key', response, clientExtensionResults: {} }
    const { access_token } = await openByPasskey(answer, request)
    return manage(request, access_token)
  })
}

function manageRoutes(app: App, path: string) {
  const signedInApp = app as App & SignedInApp
  const begin = passkeyOptions(signedInApp)
  const add = addPasskey(signedInApp)
  const rename = renamePasskey(signedInApp)
  const remove = deletePasskey(signedInApp)
  const end = signOut(signedInApp)
  const asSignedIn = sessionOfForm(app)
  const manage = management(app, path)

  /** What a superuser may do with a second factor alone, where SECOND_FACTOR says so. */
  const withFactor = async (request: FastifyRequest, token: string) => {
    const signedIn = await asSignedIn(request, token)
    app.auth.requireFactor(signedIn.user)
    return signedIn
  }

  app.post(`${PATH}/list`, { schema: formOf(TokenForm), config: byToken }, (request) =>
    manage(request, request.body.session),
  )

  app.post(`${PATH}/new`, { schema: formOf(TokenForm), config: byToken }, async (request) => {
    const { session } = request.body
    const options = await begin(await asSignedIn(request, session))
    return askPage('Add a passkey', `${path}/add`, options, CREATED, { session })
  })

  app.post(`${PATH}/add`, { schema: formOf(CreatedForm), config: byToken }, async (request) => {
    const { session, id, rawId, type, transports, ...rest } = request.body
    const response = { ...rest, transports: transports.split(',').filter(Boolean).slice(0, 16) }
    const answer = { id, rawId, type: type as 'public-key', response, clientExtensionResults: {} }
    await add(answer, await asSignedIn(request, session))
    return manage(request, session)
  })

  app.post(`${PATH}/rename`, { schema: formOf(NameForm), config: byToken }, async (request) => {
    const { session, id, name } = request.body
    await rename(id, name, await withFactor(request, session))
    return manage(request, session)
  })

  app.post(`${PATH}/remove`, { schema: formOf(RemoveForm), config: byToken }, async (request) => {
    const { session, id } = request.body
    await remove(id, await withFactor(request, session))
    return manage(request, session)
  })

  app.post(`${PATH}/sign-out`, { schema: formOf(TokenForm), config: byToken }, async (request) => {
    await end(await asSignedIn(request, request.body.session))
    return donePage
  })
}

/** @returns what gives the page with somebody's passkeys */
function management(app: App, path: string) {
  const list = listPasskeys(app as App & SignedInApp)
  const asSignedIn = sessionOfForm(app)
  return async (request: FastifyRequest, token: string): Promise<WebPage> =>
    managePage(path, token, (await list(await asSignedIn(request, token))).data)
}

const text = (maxLength: number) => Type.String({ maxLength, default: '' })
const credential = { id: text(2048), rawId: text(2048), type: text(32), clientDataJSON: text(8192) }
const UsedForm = Type.Object({
  ...credential,
  authenticatorData: text(8192),
  signature: text(8192),
  userHandle: text(128),
})
const CreatedForm = Type.Object({
  session: Type.String(),
  ...credential,
  attestationObject: text(8192),
  transports: text(255),
})
const RemoveForm = Type.Object({ session: Type.String(), id: Type.String({ format: 'uuid' }) })
const NameForm = Type.Object({
  ...RemoveForm.properties,
  name: Type.String({ minLength: 1, maxLength: 255 }),
})

/** Fields that the script fills in. */
const USED = ['id', 'rawId', 'type', 'clientDataJSON', 'authenticatorData', 'signature', 'userHandle']
const CREATED = ['id', 'rawId', 'type', 'clientDataJSON', 'attestationObject', 'transports']

const faults: Record<string, string> = {
  ...signInFaults,
  [IncorrectPasskey.code]:
    'This passkey is not known here, or its answer came too late. Try again, or sign in in another way.',
  [TooManyPasskeys.code]: 'You have ten passkeys. Remove one before you add another.',
  [PasskeysUnavailable.code]: 'This service has no name that passkeys could be for.',
}

function errorPage(path: string, answer: ErrorBody, request: FastifyRequest): WebPage {
  const { challenge, session, email } = sentIn(request)
  if (answer.code === 'internal_server_error') return faultPage
  const error = passingError(answer) ?? faults[answer.code]
  if (error === undefined) return signInPage(path, { error: BEGIN_AGAIN })
  if (challenge !== undefined) return codePage(path, challenge, { error })
  return session === undefined ? signInPage(path, { email, error }) : backPage(path, session, error)
}

const signInPage = (path: string, said: Said & { readonly email?: string | undefined }): WebPage => ({
  title: titleOf('Passkeys', said),
  main: html`<h1>Passkeys</h1>
    <p>
      A passkey of your phone or computer signs you in without a password. Sign in with one, or with your
      password to add the first.
    </p>
    ${formTo(`${path}/ask`, {}, 'Sign in with a passkey')} ${signInForm(path, said)}`,
})

type Options = PublicKeyCredentialCreationOptionsJSON | PublicKeyCredentialRequestOptionsJSON

const askPage = (
  title: string,
  action: string,
  options: Options,
  names: readonly string[],
  fields: Readonly<Record<string, string>> = {},
): WebPage => ({
  title,
  main: html`<h1>${title}</h1>
    <p>Your browser asks for it now.</p>
    <p class="error" id="failed" role="alert" hidden>That did not work, or was cancelled.</p>
    <noscript><p class="error">Browsers ask for passkeys only where JavaScript is on.</p></noscript>
    <input type="hidden" id="options" value="${JSON.stringify(options)}" />
    <form method="post" action="${action}" id="answer">
      ${hiddenFields({ ...fields, ...Object.fromEntries(names.map((name) => [name, ''])) })}
      <button type="button" id="ask" hidden>Ask again</button>
    </form>`,
  script: askScript,
})

interface Listed {
  readonly id: string
  readonly name: string | null
  readonly created_at: Date
}

const managePage = (path: string, session: string, passkeys: readonly Listed[]): WebPage => ({
  title: 'Your passkeys',
  main: html`<h1>Your passkeys</h1>
    ${passkeys.length === 0 && html`<p>You have none yet.</p>`}
    ${passkeys.map((passkey) => listed(path, session, passkey))}
    ${formTo(`${path}/new`, { session }, 'Add a passkey')}
    ${formTo(`${path}/sign-out`, { session }, 'Sign out')}`,
})

const listed = (path: string, session: string, { id, name, created_at }: Listed) => {
  const about = `${name ?? 'Passkey'} of ${created_at.toISOString().slice(0, 10)}`
  return html`<h2>${about}</h2>
    <div class="bar">
      <form method="post" action="${path}/rename">
        ${hiddenFields({ session, id })}
        <input name="name" value="${name ?? ''}" required maxlength="255" aria-label="Name of ${about}" />
        <button aria-label="Rename ${about}">Rename</button>
      </form>
      <form method="post" action="${path}/remove">
        ${hiddenFields({ session, id })}
        <button class="quiet" aria-label="Remove ${about}">Remove</button>
      </form>
    </div>`
}

const backPage = (path: string, session: string, error: string): WebPage => ({
  title: 'Error: Passkeys',
  main: html`<h1>Passkeys</h1>
    ${errorOf({ error })} ${formTo(`${path}/list`, { session }, 'Back')}`,
})

const donePage: WebPage = {
  title: 'You are signed out',
  main: html`<h1>You are signed out</h1>
    <p class="note">You can close this page.</p>`,
}
