import { type Otherwise, credential } from '../support/authenticator.ts'
import { field } from './cast.ts'
import { ECHO } from './check.ts'
import type { Answer } from './client.ts'
import { UNKNOWN_ID, type Context, type Row } from './context.ts'
import { bodyRules, fieldRules, guard } from './probes.ts'
import { creationOptions, isMap, passkeyPublic, passkeysPublic, requestOptions, token } from './shapes.ts'
import { wrong } from './wrong.ts'

const PATH = '/users/me/passkeys'
const BEGIN = `${PATH}/options`
const SIGN_IN = '/login/passkey'
const WRONG = 'Incorrect passkey'
const UNKNOWN = 'Passkey not found'
const REMOVED = 'Passkey removed'

/** What options say, and the origin of a page at that host. */
function asked({ client }: Context, { body }: Answer) {
  const { challenge, rp, rpId, user } = body as {
    challenge: string
    rp?: { id: string }
    rpId?: string
    user?: { id: string }
  }
  const { protocol, port } = client.base
  const host = rp?.id ?? rpId ?? ''
  const right: Otherwise = { rpId: host, origin: `${protocol}//${host}${port && `:${port}`}` }
  return { challenge, right, handle: user?.id ?? '' }
}

/** Somebody with a passkey. */
async function withPasskey(context: Context) {
  const { api, cast } = context
  const ada = await cast.person()
  const { challenge, right, handle } = asked(context, await api('POST', BEGIN, { as: ada }))
  const key = credential(handle)
  const made = await api('POST', PATH, { as: ada, json: key.create({ challenge }, right) })
  return { ada, key, made, id: field(made, 'id') }
}

const texts = [null, 5, [ECHO], `${ECHO}\u0000`]
const answer = { id: 'AAAA', rawId: 'AAAA', type: 'public-key' }

/** Passkeys, by an authenticator in software. */
export const passkeys: Row[] = [
  {
    operation: 'users-create_passkey_options',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'POST', BEGIN)
      const options = await api('POST', BEGIN, { as: await cast.person() })
      check.shape('what a browser is to be asked', options, creationOptions)
    },
  },
  {
    operation: 'users-create_passkey',
    async walk(context) {
      const { api, check } = context
      await guard(context, 'user', 'POST', PATH)
      const { ada, key, made } = await withPasskey(context)
      check.shape('a passkey', made, passkeyPublic, { last_used_at: null, credential_id: key.id })
      const response = { clientDataJSON: ECHO, attestationObject: ECHO }
      const right = { ...answer, response }
      check.error('400 for what is none', await api('POST', PATH, { as: ada, json: right }), 400, WRONG)
      await fieldRules(
        context,
        { method: 'POST', path: PATH, as: ada, right },
        { id: texts, rawId: texts, type: texts, response: [null, 5, ECHO] },
      )
      await bodyRules(context, 'POST', PATH, ada)
    },
  },
  {
    operation: 'users-read_passkeys',
    async walk(context) {
      const { api, check } = context
      await guard(context, 'user', 'GET', PATH)
      const { ada } = await withPasskey(context)
      check.shape('mine', await api('GET', PATH, { as: ada }), passkeysPublic)
    },
  },
  {
    operation: 'users-update_passkey',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'PATCH', `${PATH}/${UNKNOWN_ID}`)
      const { ada, id } = await withPasskey(context)
      const path = `${PATH}/${id}`
      const name = async (at: string, as = ada) => api('PATCH', at, { as, json: { name: 'Phone' } })
      check.shape('another name', await name(path), passkeyPublic, { name: 'Phone' })
      check.error("404 for another's", await name(path, await cast.ordinary()), 404, UNKNOWN)
      check.error('404', await name(`${PATH}/${UNKNOWN_ID}`), 404, UNKNOWN)
      check.faults('422 for no id', await name(`${PATH}/${ECHO}`), 'path.id')
      await fieldRules(context, { method: 'PATCH', path, as: ada, right: {} }, { name: [...texts, ''] })
      await bodyRules(context, 'PATCH', path, ada)
    },
  },
  {
    operation: 'login-passkey_options',
    async walk({ api, check }) {
      const options = await api('POST', `${SIGN_IN}/options`)
      check.shape('what a browser is to be asked', options, requestOptions)
    },
  },
  {
    operation: 'login-passkey',
    async walk(context) {
      const { api, check } = context
      const { key } = await withPasskey(context)
      const { challenge, right } = asked(context, await api('POST', `${SIGN_IN}/options`))
      const json = key.get({ challenge }, right)
      check.shape('tokens', await api('POST', SIGN_IN, { json }), token)
      check.error('a challenge is good once', await api('POST', SIGN_IN, { json }), 400, WRONG)
      const response = { clientDataJSON: ECHO, authenticatorData: ECHO, signature: ECHO }
      const none = { ...answer, response }
      check.error('400 for what is none', await api('POST', SIGN_IN, { json: none }), 400, WRONG)
      await fieldRules(
        context,
        { method: 'POST', path: SIGN_IN, right: none },
        { id: wrong.token, rawId: texts, type: texts, response: [null, 5, ECHO] },
      )
      await bodyRules(context, 'POST', SIGN_IN)
    },
  },
  {
    operation: 'users-delete_passkey',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'DELETE', `${PATH}/${UNKNOWN_ID}`)
      const { ada, id } = await withPasskey(context)
      const remove = async (one: string, as = ada) => api('DELETE', `${PATH}/${one}`, { as })
      check.error("404 for another's", await remove(id, await cast.ordinary()), 404, UNKNOWN)
      check.faults('422 for no id', await remove(ECHO), 'path.id')
      check.message('mine', await remove(id), REMOVED)
      check.error('404', await remove(id), 404, UNKNOWN)
    },
  },
  {
    operation: 'users-read_user_passkeys',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'GET', `/users/${ECHO}/passkeys`)
      const { ada } = await withPasskey(context)
      const list = async (id: string) => api('GET', `/users/${id}/passkeys`, { as: cast.admin })
      const found = await list(ada.id)
      check.shape('of a user', found, passkeysPublic)
      const data = isMap(found.body) ? found.body.data : undefined
      check.holds('one', Array.isArray(data) && data.length === 1, 'one passkey', found)
      check.error('404', await list(UNKNOWN_ID), 404, 'User not found')
      check.faults('422 for no id', await list(ECHO), 'path.user_id')
    },
  },
  {
    operation: 'users-delete_user_passkey',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'DELETE', `/users/${ECHO}/passkeys/${ECHO}`)
      const { ada, id } = await withPasskey(context)
      const remove = async (one: string) =>
        api('DELETE', `/users/${ada.id}/passkeys/${one}`, { as: cast.admin })
      check.message('of a user', await remove(id), REMOVED)
      check.error('404', await remove(UNKNOWN_ID), 404, UNKNOWN)
      check.faults('422 for no id', await remove(ECHO), 'path.id')
    },
  },
]
