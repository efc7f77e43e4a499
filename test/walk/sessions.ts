import { field } from './cast.ts'
import { ECHO } from './check.ts'
import { UNKNOWN_ID, type Row } from './context.ts'
import { bodyRules, fieldRules, guard } from './probes.ts'
import { ids, isMap, sessionsPublic, token, userPublic } from './shapes.ts'
import { wrong } from './wrong.ts'

const REVOKED = 'Could not validate credentials'
const LIST = '/users/me/sessions'

/** How long somebody is signed in, and where. */
export const sessions: Row[] = [
  {
    operation: 'login-refresh_token',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/login/refresh-token'
      const ada = await cast.person()
      const form = { username: ada.email, password: ada.password }
      const post = async (refresh_token: string, at = path) =>
        api('POST', at, { json: { refresh_token, [ECHO]: ECHO } })
      const first = await api('POST', '/login/access-token', { form })
      const second = await post(field(first, 'refresh_token'))
      check.shape('a new token', second, token)
      check.equal('Cache-Control', second.headers['cache-control'], 'no-store')
      const next = field(second, 'refresh_token')
      const lost = await post(field(first, 'refresh_token'), `${path}/`)
      check.equal('a lost answer can be asked for again', isMap(lost.body) && lost.body.refresh_token, next)
      const third = await post(next)
      const access = { token: field(third, 'access_token') }
      check.shape('the session goes on', await api('GET', '/users/me', { as: access }), userPublic)
      for (const one of ['', 'garbage', access.token, `${next.slice(0, -2)}xx`])
        check.error(`401 for ${one.length} letters`, await post(one), 401, REVOKED)
      check.error('401 for an old one', await post(field(first, 'refresh_token')), 401, REVOKED)
      check.error('which ends the session', await api('GET', '/users/me', { as: access }), 401, REVOKED)
      check.error('for the newest too', await post(field(third, 'refresh_token')), 401, REVOKED)
      check.shape('other sessions go on', await api('GET', '/users/me', { as: ada }), userPublic)
      const right = { refresh_token: 'unknown' }
      await fieldRules(context, { method: 'POST', path, right }, { refresh_token: wrong.token })
      await bodyRules(context, 'POST', path)
    },
  },
  {
    operation: 'login-logout',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'POST', '/login/logout')
      const ada = await cast.person()
      const again = { token: await cast.token(ada.email, ada.password) }
      check.message('signing out', await api('POST', '/login/logout', { as: again }), 'Signed out')
      check.error('ends this session', await api('GET', '/users/me', { as: again }), 401, REVOKED)
      check.shape('and no other', await api('GET', '/users/me', { as: ada }), userPublic)
    },
  },
  {
    operation: 'login-reauthenticate',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/login/reauthenticate'
      await guard(context, 'user', 'POST', path)
      const ada = await cast.person()
      const again = async (password: unknown) => api('POST', path, { as: ada, json: { password } })
      check.error('400 for a wrong password', await again(cast.password()), 400, 'Incorrect password')
      check.message('with the right one', await again(ada.password), 'Reauthenticated')
      const right = { password: ada.password }
      check.faults('422 for neither', await api('POST', path, { as: ada, json: {} }), 'body.password')
      const code = { code: '123456' }
      check.error(
        '400 for a code of none',
        await api('POST', path, { as: ada, json: code }),
        400,
        'Incorrect code',
      )
      await fieldRules(context, { method: 'POST', path, right, as: ada }, { password: wrong.token })
      await bodyRules(context, 'POST', path, ada)
    },
  },
  {
    operation: 'users-read_sessions_me',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'GET', LIST)
      const ada = await cast.person()
      await cast.token(ada.email, ada.password)
      const list = await api('GET', LIST, { as: ada })
      check.shape('both sessions', list, sessionsPublic, { count: 2 })
      const current = isMap(list.body) && Array.isArray(list.body.data) ? list.body.data : []
      check.equal(
        'one of them is this one',
        current.map((one) => isMap(one) && one.is_current),
        [false, true],
      )
    },
  },
  {
    operation: 'users-delete_session_me',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'DELETE', `${LIST}/${UNKNOWN_ID}`)
      const [ada, bob] = [await cast.person(), await cast.ordinary()]
      const again = { token: await cast.token(ada.email, ada.password) }
      const [newest] = ids((await api('GET', LIST, { as: ada })).body)
      const end = async (id: unknown, as = ada) => api('DELETE', `${LIST}/${String(id)}`, { as })
      check.error("404 for another's", await end(newest, bob), 404, 'Session not found')
      check.error('404 for an unknown one', await end(UNKNOWN_ID), 404, 'Session not found')
      check.faults('422 for no id', await end(ECHO), 'path.session_id')
      check.message('ending one', await end(newest), 'Session ended')
      check.error('it is over', await api('GET', '/users/me', { as: again }), 401, REVOKED)
    },
  },
  {
    operation: 'users-delete_sessions_me',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'DELETE', LIST)
      const ada = await cast.person()
      const again = { token: await cast.token(ada.email, ada.password) }
      check.message('ending the others', await api('DELETE', LIST, { as: ada }), 'Other sessions ended')
      check.error('they are over', await api('GET', '/users/me', { as: again }), 401, REVOKED)
      check.shape('this one goes on', await api('GET', '/users/me', { as: ada }), userPublic)
    },
  },
]

/** Showing that an address is one's own. The links themselves are in mails, which nobody sees from outside. */
export const verification: Row[] = [
  {
    operation: 'login-verify_email',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/verify-email/'
      const ada = await cast.ordinary()
      const reset = await cast.resetToken(ada.email)
      for (const one of ['unknown', '', ada.token, reset])
        check.error(
          `400 for ${one.length} letters`,
          await api('POST', path, { json: { token: one } }),
          400,
          'Invalid token',
        )
      await fieldRules(context, { method: 'POST', path, right: { token: 'unknown' } }, { token: wrong.token })
      await bodyRules(context, 'POST', path)
    },
  },
  {
    operation: 'login-resend_verification',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/verify-email/resend'
      const anyway = 'If that email is registered and not verified, we sent a verification link'
      const ada = await cast.ordinary()
      for (const email of [ada.email, ada.email.toUpperCase(), cast.address()])
        check.message('known or not', await api('POST', path, { json: { email, [ECHO]: 1 } }), anyway)
      check.message('with a slash', await api('POST', `${path}/`, { json: { email: ada.email } }), anyway)
      await fieldRules(context, { method: 'POST', path, right: { email: ada.email } }, { email: wrong.email })
      await bodyRules(context, 'POST', path)
    },
  },
]
