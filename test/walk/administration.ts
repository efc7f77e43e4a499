import { ECHO } from './check.ts'
import { UNKNOWN_ID, type Context, type Row } from './context.ts'
import { bodyRules, fieldRules, guard } from './probes.ts'
import { auditPublic, userPublic } from './shapes.ts'
import { wrongAccount } from './wrong.ts'

const REVOKED = 'Could not validate credentials'
const GONE = 'User deleted successfully'

/** The routes of the users tag by which a superuser changes others' accounts. */
export const administration: Row[] = [
  {
    operation: 'users-update_user',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'PATCH', `/users/${ECHO}`, { json: { full_name: 5 } })
      const [ada, bob] = [await cast.person(), await cast.ordinary()]
      const path = `/users/${ada.id}`
      const patch = async (json: unknown, at = path) => api('PATCH', at, { as: cast.admin, json })
      const email = cast.address()
      const changes = { email, full_name: 'Ada' }
      check.shape('name and address', await patch({ ...changes, id: UNKNOWN_ID, [ECHO]: 1 }), userPublic, {
        ...changes,
        id: ada.id,
      })
      check.shape('nothing, with a slash', await patch({}, `${path}/`), userPublic, {
        ...changes,
        is_active: true,
      })
      check.shape('null clears the name', await patch({ full_name: null }), userPublic, {
        email,
        full_name: null,
      })
      check.shape(
        'the same address in another case',
        await patch({ email: email.toUpperCase() }),
        userPublic,
        { email: email.toUpperCase() },
      )
      check.shape('none of this ends a session', await api('GET', '/users/me', { as: ada }), userPublic)
      check.error(
        "409 for another's address",
        await patch({ email: bob.email.toUpperCase() }),
        409,
        'User with this email already exists',
      )
      const unknown = 'The user with this id does not exist in the system'
      check.error('404', await patch({ full_name: 'x' }, `/users/${UNKNOWN_ID}`), 404, unknown)
      check.error('404 before 409', await patch({ email: bob.email }, `/users/${UNKNOWN_ID}`), 404, unknown)
      check.faults('422 for an id that is none', await patch({}, `/users/${ECHO}`), 'path.user_id')
      check.faults('422 before 404', await patch({ full_name: 5 }, `/users/${UNKNOWN_ID}`), 'body.full_name')
      await fieldRules(context, { method: 'PATCH', path, as: cast.admin, right: {} }, wrongAccount)
      await bodyRules(context, 'PATCH', path, cast.admin, true)
      await endings(context)
    },
  },
  {
    operation: 'audit-read_audit',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'GET', '/audit/')
      const ada = await cast.person()
      const list = async (query: string) => api('GET', `/audit/?${query}`, { as: cast.admin })
      check.shape('what was done to a user', await list(`user=${ada.id}`), auditPublic, { next_cursor: null })
      check.shape('a page', await list('limit=1'), auditPublic)
      for (const query of ['event', 'user', 'from', 'to', 'cursor', 'limit'])
        check.faults(`422 for a wrong ${query}`, await list(`${query}=${ECHO}`), `query.${query}`)
    },
  },
  {
    operation: 'users-read_activity_me',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/users/me/activity'
      await guard(context, 'user', 'GET', path)
      const ada = await cast.person()
      check.shape('what was done to my account', await api('GET', path, { as: ada }), auditPublic)
      check.faults('422', await api('GET', `${path}?limit=0`, { as: ada }), 'query.limit')
    },
  },
  {
    operation: 'users-delete_user',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'DELETE', `/users/${ECHO}`)
      const [ada, boss, second] = [
        await cast.person(),
        await cast.person({ is_superuser: true }),
        await cast.person(),
      ]
      const item = await cast.item(ada)
      const remove = async (id: string) =>
        api('DELETE', `/users/${id}`, { as: boss, type: 'application/json', body: '' })
      check.error(
        '403 for oneself',
        await remove(boss.id),
        403,
        'Super users are not allowed to delete themselves',
      )
      check.error('404', await remove(UNKNOWN_ID), 404, 'User not found')
      check.faults('422 for an id that is none', await remove(ECHO), 'path.user_id')
      check.message('another', await remove(ada.id), GONE)
      check.error('the token is cut off', await api('GET', '/users/me', { as: ada }), 401, REVOKED)
      check.error('items too', await api('GET', `/items/${item.id}`, { as: boss }), 404, 'Item not found')
      check.error('404 the second time', await remove(ada.id), 404, 'User not found')
      check.message('another, with a slash', await remove(`${second.id}/`), GONE)
    },
  },
]

/** What a superuser changes about others that ends their sessions, for good. */
async function endings({ api, cast, check }: Context) {
  const changed = cast.password()
  const kinds: [string, Record<string, unknown>, Record<string, unknown>][] = [
    ['a new password', {}, { password: changed }],
    ['deactivation', {}, { is_active: false }],
    ['demotion', { is_superuser: true }, { is_superuser: false }],
  ]
  for (const [what, before, change] of kinds) {
    const one = await cast.person(before)
    const answer = await api('PATCH', `/users/${one.id}`, { as: cast.admin, json: change })
    const { password: _, ...shown } = change
    check.shape(what, answer, userPublic, shown)
    check.error(`${what} cuts the token off`, await api('GET', '/users/me', { as: one }), 401, REVOKED)
    await api('PATCH', `/users/${one.id}`, { as: cast.admin, json: { is_active: true, ...before } })
    check.error(`${what} taken back: still cut off`, await api('GET', '/users/me', { as: one }), 401, REVOKED)
    const password = change.password ? changed : one.password
    check.equal(`${what} taken back: signs in`, typeof (await cast.token(one.email, password)), 'string')
  }
}
