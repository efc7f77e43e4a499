import { faultsBody } from '../support/errors.ts'
import { ECHO } from './check.ts'
import { UNKNOWN_ID, type Row } from './context.ts'
import { bodyRules, fieldRules } from './probes.ts'
import { token, userPublic } from './shapes.ts'
import { longAddress, wrong } from './wrong.ts'

const TAKEN = 'The user with this email already exists in the system'

export const signup: Row[] = [
  {
    operation: 'users-register_user',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/users/signup'
      const post = async (json: unknown, at = path) => api('POST', at, { json })
      const email = cast.address()
      const password = '🦊🐻🐼🐨🐯🦁🐮🐷'
      const fresh = { email, full_name: null, is_active: true, is_superuser: false, is_verified: false }
      const strangers = { id: UNKNOWN_ID, is_superuser: true, is_verified: true, is_active: false, [ECHO]: 1 }
      const made = await post({ email, password, ...strangers })
      check.shape('8 emoji are a password; unknown fields are ignored', made, userPublic, fresh)
      check.holds('the id is the service’s', !made.text.includes(UNKNOWN_ID), 'an id of its own', made)
      const form = { username: email.toUpperCase(), password }
      check.shape('and sign in', await api('POST', '/login/access-token', { form }), token)
      const named = { email: cast.address(), password, full_name: '🦊'.repeat(255) }
      check.shape('a name of 255 emoji, with a slash', await post(named, `${path}/`), userPublic, {
        full_name: named.full_name,
      })
      const longest = { email: longAddress(255), password, full_name: null }
      check.shape('an address of 255 characters', await post(longest), userPublic, {
        email: longest.email,
        full_name: null,
      })
      check.error('400 for a known address', await post({ email, password }), 400, TAKEN)
      check.error('400 in another case', await post({ email: email.toLowerCase(), password }), 400, TAKEN)
      const one = cast.address()
      const race = await Promise.all([
        post({ email: one, password }),
        post({ email: one.toLowerCase(), password }),
      ])
      check.equal(
        'two at once: one of them',
        race.map(({ status }) => status).toSorted((one, other) => one - other),
        [200, 400],
      )
      const short = await post({ email: cast.address(), password: '1234567' })
      check.equal(
        'the fault of a short password',
        short.body,
        faultsBody({
          type: 'string_too_short',
          loc: ['body', 'password'],
          msg: 'String should have at least 8 characters',
        }),
      )
      check.faults('422 comes before 400', await post({ email, password: '1234567' }), 'body.password')
      check.faults('422 without fields', await post({}), 'body.email', 'body.password')
      const all = await post({ email: ECHO, password: '1234567', full_name: 5 })
      check.faults('all faults in one answer', all, 'body.email', 'body.full_name', 'body.password')
      const fields = { email: wrong.email, password: wrong.password, full_name: wrong.full_name }
      await fieldRules(
        context,
        { method: 'POST', path, right: { email: longAddress(100), password } },
        fields,
      )
      await bodyRules(context, 'POST', path)
    },
  },
]
