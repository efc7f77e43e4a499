import { ECHO } from './check.ts'
import { UNKNOWN_ID, type Row } from './context.ts'
import { bodyRules, fieldRules, guard } from './probes.ts'
import { token, userPublic } from './shapes.ts'
import { wrong } from './wrong.ts'

const REVOKED = 'Could not validate credentials'

/** The routes of the users tag that people use on their own account. */
export const account: Row[] = [
  {
    operation: 'users-read_user_me',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'GET', '/users/me')
      const { id, email, token: own } = await cast.ordinary()
      const values = { id, email, is_active: true, is_superuser: false, full_name: null }
      check.shape('oneself', await api('GET', '/users/me/', { as: { token: own } }), userPublic, values)
      check.shape('a superuser', await api('GET', '/users/me', { as: cast.admin }), userPublic, {
        is_superuser: true,
      })
    },
  },
  {
    operation: 'users-update_user_me',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/users/me'
      await guard(context, 'user', 'PATCH', path, { json: { full_name: 5 } })
      const [ada, bob] = [await cast.person(), await cast.ordinary()]
      const patch = async (json: unknown, at = path) => api('PATCH', at, { as: ada, json })
      check.shape('a name', await patch({ full_name: 'Ada' }), userPublic, {
        id: ada.id,
        email: ada.email,
        full_name: 'Ada',
      })
      const email = cast.address()
      check.shape('an address', await patch({ email }, `${path}/`), userPublic, { email, full_name: 'Ada' })
      const upper = email.toUpperCase()
      check.shape('one’s own address in another case', await patch({ email: upper }), userPublic, {
        email: upper,
      })
      check.shape('nothing', await patch({}), userPublic, { email: upper, full_name: 'Ada' })
      check.shape('null clears the name', await patch({ full_name: null }), userPublic, { full_name: null })
      const strangers = {
        id: UNKNOWN_ID,
        is_superuser: true,
        is_active: false,
        is_verified: 5,
        password: 'x',
        [ECHO]: 1,
      }
      const kept = { id: ada.id, is_superuser: false, is_active: true }
      check.shape('unknown fields are ignored', await patch(strangers), userPublic, kept)
      const taken = 'User with this email already exists'
      check.error("409 for another's address", await patch({ email: bob.email }), 409, taken)
      check.error('409 in another case', await patch({ email: bob.email.toLowerCase() }), 409, taken)
      check.faults('422 comes before 409', await patch({ email: bob.email, full_name: 5 }), 'body.full_name')
      const fields = { email: wrong.email, full_name: wrong.full_name }
      await fieldRules(context, { method: 'PATCH', path, as: ada, right: {} }, fields)
      await bodyRules(context, 'PATCH', path, ada, true)
    },
  },
  {
    operation: 'users-update_password_me',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/users/me/password'
      await guard(context, 'user', 'PATCH', path, { json: {} })
      const ada = await cast.person()
      const other = { token: await cast.token(ada.email, ada.password) }
      const patch = async (current_password: string, new_password: string) =>
        api('PATCH', path, { as: ada, json: { current_password, new_password, [ECHO]: 1 } })
      const changed = cast.password()
      check.error(
        '400 for a wrong password',
        await patch(cast.password(), changed),
        400,
        'Incorrect password',
      )
      const same = await patch(ada.password, ada.password)
      check.error('400 for the same one', same, 400, 'New password cannot be the same as the current one')
      check.shape('nothing has ended', await api('GET', '/users/me', { as: other }), userPublic)
      check.faults('422 comes before 400', await patch(cast.password(), '1234567'), 'body.new_password')
      check.message('a new one', await patch(ada.password, changed), 'Password updated successfully')
      check.shape('this session goes on', await api('GET', '/users/me', { as: ada }), userPublic)
      check.error('every other has ended', await api('GET', '/users/me', { as: other }), 401, REVOKED)
      const signIn = async (password: string) =>
        api('POST', '/login/access-token', { form: { username: ada.email, password } })
      check.error('the old one is gone', await signIn(ada.password), 400, 'Incorrect email or password')
      check.shape('the new one signs in', await signIn(changed), token)
      const missing = await api('PATCH', path, { as: ada, json: {} })
      check.faults('422 without fields', missing, 'body.current_password', 'body.new_password')
      const right = { current_password: cast.password(), new_password: cast.password() }
      const fields = { current_password: wrong.token, new_password: wrong.password }
      await fieldRules(context, { method: 'PATCH', path, as: ada, right }, fields)
      await bodyRules(context, 'PATCH', path, ada)
    },
  },
  {
    operation: 'users-delete_user_me',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/users/me'
      await guard(context, 'user', 'DELETE', path)
      const [ada, boss] = [await cast.person(), await cast.person({ is_superuser: true })]
      const item = await cast.item(ada)
      const refusal = 'Super users are not allowed to delete themselves'
      check.error('403 for a superuser', await api('DELETE', path, { as: boss }), 403, refusal)
      check.shape('who is still there', await api('GET', path, { as: boss }), userPublic)
      const call = { as: ada, type: 'application/json', body: '' }
      check.message(
        'oneself, under an empty JSON body',
        await api('DELETE', path, call),
        'User deleted successfully',
      )
      check.error('the token is cut off', await api('GET', path, { as: ada }), 401, REVOKED)
      check.error(
        'items too',
        await api('GET', `/items/${item.id}`, { as: cast.admin }),
        404,
        'Item not found',
      )
      const form = { username: ada.email, password: ada.password }
      const gone = await api('POST', '/login/access-token', { form })
      check.error('no sign-in any more', gone, 400, 'Incorrect email or password')
      const again = await api('POST', '/users/signup', { json: { email: ada.email, password: ada.password } })
      check.shape('the address is free again', again, userPublic, { email: ada.email })
    },
  },
]
