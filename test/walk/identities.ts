import { ECHO } from './check.ts'
import { UNKNOWN_ID, type Row } from './context.ts'
import { bodyRules, fieldRules, guard } from './probes.ts'
import { identitiesPublic, providersPublic } from './shapes.ts'

const PATH = '/users/me/identities'
const UNKNOWN = 'Provider not found'

/** Identity providers, as far as a service without one goes; accounts/identities.test.ts goes to a real one. */
export const identities: Row[] = [
  {
    operation: 'login-read_providers',
    async walk({ api, check }) {
      check.shape('those that are set up', await api('GET', '/login/providers'), providersPublic)
    },
  },
  {
    operation: 'login-go_to_provider',
    async walk({ api, check }) {
      const go = async (path: string) => api('GET', `/login/oidc/${path}`)
      check.error('404 for one that is not set up', await go(ECHO), 404, UNKNOWN)
      const elsewhere = await go(`${ECHO}?return_to=https://evil.example`)
      check.faults('422 for a way back that is not the frontend’s', elsewhere, 'query.return_to')
    },
  },
  {
    operation: 'login-come_back_from_provider',
    async walk({ api, check }) {
      const back = await api('GET', `/login/oidc/${ECHO}/callback?code=${ECHO}&state=${ECHO}`)
      const location = back.headers.location ?? ''
      check.status('leads on, whatever comes', back, 302)
      check.holds('with an error', location.endsWith('?error=invalid_token'), 'invalid_token', back)
    },
  },
  {
    operation: 'login-sign_in_with_provider',
    async walk(context) {
      const { api, check } = context
      const path = '/login/oidc/token'
      const token = await api('POST', path, { json: { code: ECHO } })
      check.error('400 for a forged code', token, 400, 'Invalid token')
      await fieldRules(context, { method: 'POST', path, right: { code: ECHO } }, { code: [null, 5, []] })
      await bodyRules(context, 'POST', path)
    },
  },
  {
    operation: 'users-read_identities',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'GET', PATH)
      check.shape('mine', await api('GET', PATH, { as: await cast.person() }), identitiesPublic)
    },
  },
  {
    operation: 'users-link_identity',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'POST', `${PATH}/${ECHO}`)
      const linked = await api('POST', `${PATH}/${ECHO}`, { as: await cast.person() })
      check.error('404 for a provider that is not set up', linked, 404, UNKNOWN)
    },
  },
  {
    operation: 'users-delete_identity',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'DELETE', `${PATH}/${UNKNOWN_ID}`)
      const as = await cast.person()
      check.faults('422 for no id', await api('DELETE', `${PATH}/${ECHO}`, { as }), 'path.id')
      const removed = await api('DELETE', `${PATH}/${UNKNOWN_ID}`, { as })
      check.error('404', removed, 404, 'Identity not found')
    },
  },
  {
    operation: 'users-read_user_identities',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'GET', `/users/${UNKNOWN_ID}/identities`)
      const list = async (id: string) => api('GET', `/users/${id}/identities`, { as: cast.admin })
      check.shape('of a user', await list((await cast.person()).id), identitiesPublic)
      check.error('404', await list(UNKNOWN_ID), 404, 'User not found')
    },
  },
  {
    operation: 'users-delete_user_identity',
    async walk(context) {
      const { api, cast, check } = context
      const path = `/users/${(await cast.person()).id}/identities/${UNKNOWN_ID}`
      await guard(context, 'superuser', 'DELETE', path)
      const removed = await api('DELETE', path, { as: cast.admin })
      check.error('404', removed, 404, 'Identity not found')
    },
  },
]
