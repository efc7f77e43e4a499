import type { Person } from './cast.ts'
import { ECHO } from './check.ts'
import { FORBIDDEN_ROLE, pause, UNKNOWN_ID, type Row } from './context.ts'
import { bodyRules, fieldRules, guard, pageRules } from './probes.ts'
import { ids, isMap, rows, userPublic, usersPublic } from './shapes.ts'
import { longAddress, wrongAccount } from './wrong.ts'

/** The routes of the users tag that list, make and show people. */
export const users: Row[] = [
  {
    operation: 'users-read_users',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'GET', `/users/?skip=${ECHO}`)
      const made: string[] = []
      for (let count = 0; count < 3; count += 1) {
        made.unshift((await cast.person()).id)
        await pause()
      }
      const all = await api('GET', '/users?limit=1000', { as: cast.admin })
      check.shape('everybody', all, usersPublic)
      check.equal(
        'newest first',
        ids(all.body).filter((id) => made.includes(String(id))),
        made,
      )
      const times = rows(all.body).map((row) => Date.parse(String(row.created_at)))
      check.equal(
        'all of them newest first',
        times,
        times.toSorted((one, other) => other - one),
      )
      const page = await api('GET', '/users/?skip=1&limit=2', { as: cast.admin })
      check.equal('skip and limit', ids(page.body), ids(all.body).slice(1, 3))
      check.equal(
        'the count is of all, whatever the page',
        isMap(page.body) && page.body.count,
        isMap(all.body) && all.body.count,
      )
      const past = await api('GET', '/users/?skip=1000000000', { as: cast.admin })
      check.shape('nothing past the end', past, usersPublic, { data: [] })
      await pageRules(context, '/users/', cast.admin)
    },
  },
  {
    operation: 'users-create_user',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/users/'
      await guard(context, 'superuser', 'POST', path, { json: {} })
      const post = async (json: unknown, at = path) => api('POST', at, { as: cast.admin, json })
      const right = { email: cast.address(), password: cast.password() }
      const fresh = { email: right.email, full_name: null, is_active: true, is_superuser: false }
      const bare = await post({ ...right, id: UNKNOWN_ID, [ECHO]: 1 })
      check.shape('with address and password alone', bare, userPublic, fresh)
      check.holds('unknown fields are ignored', !bare.text.includes(UNKNOWN_ID), 'an id of its own', bare)
      check.equal(
        'the password signs in',
        typeof (await cast.token(right.email.toLowerCase(), right.password)),
        'string',
      )
      const full = { email: cast.address(), full_name: 'Ada', is_active: false, is_superuser: true }
      check.shape(
        'with all fields, no slash',
        await post({ ...full, password: '🦊'.repeat(8) }, '/users'),
        userPublic,
        full,
      )
      const taken = 'The user with this email already exists in the system.'
      check.error('400 for a known address', await post(right), 400, taken)
      check.error(
        '400 in another case',
        await post({ ...right, email: right.email.toUpperCase() }),
        400,
        taken,
      )
      check.faults('422 comes before 400', await post({ ...right, is_active: 'true' }), 'body.is_active')
      check.faults('422 without fields', await post({}), 'body.email', 'body.password')
      const call = { method: 'POST', path, as: cast.admin, right: { ...right, email: longAddress(100) } }
      await fieldRules(context, call, wrongAccount)
      await bodyRules(context, 'POST', path, cast.admin)
    },
  },
  {
    operation: 'users-read_user_by_id',
    async walk(context) {
      const { api, cast, check } = context
      const [ada, bob] = [await cast.person(), await cast.ordinary()]
      await guard(context, 'user', 'GET', `/users/${ECHO}`)
      const get = async (id: string, as: Person) => api('GET', `/users/${id}`, { as })
      check.shape('oneself', await get(ada.id, ada), userPublic, { id: ada.id, email: ada.email })
      check.shape('any for a superuser, with a slash', await get(`${ada.id}/`, cast.admin), userPublic, {
        id: ada.id,
      })
      check.error('403 for another', await get(ada.id, bob), 403, FORBIDDEN_ROLE)
      check.error('403 for an unknown id', await get(UNKNOWN_ID, bob), 403, FORBIDDEN_ROLE)
      check.error('404 for a superuser', await get(UNKNOWN_ID, cast.admin), 404, 'User not found')
      check.faults('422 for an id that is none', await get(ECHO, cast.admin), 'path.user_id')
      check.faults('422 for one who is no superuser too', await get(ECHO, bob), 'path.user_id')
      check.faults(
        '422 for an id of 300 characters',
        await get(ECHO + 'a'.repeat(300), cast.admin),
        'path.user_id',
      )
    },
  },
]
