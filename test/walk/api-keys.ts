import { field } from './cast.ts'
import { ECHO } from './check.ts'
import { UNKNOWN_ID, type Row } from './context.ts'
import { bodyRules, fieldRules, guard } from './probes.ts'
import { apiKeyCreated, apiKeysPublic, userPublic } from './shapes.ts'

const PATH = '/users/me/api-keys'
const UNKNOWN = 'API key not found'
const DELETED = 'API key deleted'
const NOT_ALLOWED = 'API key not allowed'
const REVOKED = 'Could not validate credentials'
const body = { name: 'Export', permissions: ['users:read'] }

/** API keys, and what they may do. */
export const apiKeys: Row[] = [
  {
    operation: 'users-create_api_key',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'POST', PATH)
      const ada = await cast.person()
      const make = async (json: object) => api('POST', PATH, { as: ada, json })
      const made = await make({ ...body, [ECHO]: 1 })
      check.shape('a key', made, apiKeyCreated, { expires_at: null, last_used_at: null })
      const key = { token: field(made, 'key') }
      check.shape('it acts as me', await api('GET', '/users/me', { as: key }), userPublic, { id: ada.id })
      check.error('not beyond its permissions', await api('GET', '/items/', { as: key }), 403, NOT_ALLOWED)
      for (const path of [PATH, '/login/logout', '/users/me/recovery-codes'])
        check.error(`nor POST ${path}`, await api('POST', path, { as: key }), 403, NOT_ALLOWED)
      const mistyped = { token: `${key.token.slice(0, -1)}${key.token.endsWith('A') ? 'B' : 'A'}` }
      check.error('401 for a mistyped one', await api('GET', '/users/me', { as: mistyped }), 401, REVOKED)
      check.faults(
        '422 for an unknown permission',
        await make({ ...body, permissions: [ECHO] }),
        'body.permissions.0',
      )
      check.faults('422 for none', await make({ ...body, permissions: [] }), 'body.permissions')
      check.faults(
        '422 for a time that is over',
        await make({ ...body, expires_at: '2020-01-01T00:00:00Z' }),
        'body.expires_at',
      )
      await fieldRules(
        context,
        { method: 'POST', path: PATH, as: ada, right: body },
        { name: [null, 5, '', `${ECHO}\u0000`] },
      )
      await bodyRules(context, 'POST', PATH, ada)
    },
  },
  {
    operation: 'users-read_api_keys',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'GET', PATH)
      const ada = await cast.person()
      const key = field(await api('POST', PATH, { as: ada, json: body }), 'key')
      const list = await api('GET', PATH, { as: ada })
      check.shape('mine', list, apiKeysPublic)
      check.holds('never the key', !list.text.includes(key), 'no key', list)
    },
  },
  {
    operation: 'users-delete_api_key',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'DELETE', `${PATH}/${UNKNOWN_ID}`)
      const ada = await cast.person()
      const made = await api('POST', PATH, { as: ada, json: body })
      const remove = async (id: string, as = ada) => api('DELETE', `${PATH}/${id}`, { as })
      check.error("404 for another's", await remove(field(made, 'id'), await cast.ordinary()), 404, UNKNOWN)
      check.faults('422 for no id', await remove(ECHO), 'path.id')
      check.message('mine', await remove(field(made, 'id')), DELETED)
      check.error(
        'it stops working',
        await api('GET', '/users/me', { as: { token: field(made, 'key') } }),
        401,
        REVOKED,
      )
      check.error('404', await remove(UNKNOWN_ID), 404, UNKNOWN)
    },
  },
  {
    operation: 'users-read_user_api_keys',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'GET', `/users/${ECHO}/api-keys`)
      const ada = await cast.person()
      const list = async (id: string) => api('GET', `/users/${id}/api-keys`, { as: cast.admin })
      check.shape('of a user', await list(ada.id), apiKeysPublic)
      check.error('404', await list(UNKNOWN_ID), 404, 'User not found')
      check.faults('422 for no id', await list(ECHO), 'path.user_id')
    },
  },
  {
    operation: 'users-delete_user_api_key',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'DELETE', `/users/${ECHO}/api-keys/${ECHO}`)
      const ada = await cast.person()
      const made = await api('POST', PATH, { as: ada, json: body })
      const remove = async (id: string) =>
        api('DELETE', `/users/${ada.id}/api-keys/${id}`, { as: cast.admin })
      check.message('of a user', await remove(field(made, 'id')), DELETED)
      check.error('404', await remove(UNKNOWN_ID), 404, UNKNOWN)
      check.faults('422 for no id', await remove(ECHO), 'path.id')
    },
  },
]
