import { ECHO } from './check.ts'
import { UNKNOWN_ID, type Row } from './context.ts'
import { bodyRules, fieldRules } from './probes.ts'
import { userPublic } from './shapes.ts'
import { longAddress, wrong } from './wrong.ts'

/** Only where ENVIRONMENT=local. */
export const privateUsers: Row[] = [
  {
    operation: 'private-create_user',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/private/users/'
      const post = async (json: unknown, at = path) => api('POST', at, { json })
      const right = { email: cast.address(), password: cast.password(), full_name: 'Ada' }
      const values = { email: right.email, full_name: 'Ada', is_active: true, is_superuser: false }
      const bare = await post({ ...right, is_superuser: true, id: UNKNOWN_ID, [ECHO]: 1 })
      check.shape('not verified unless told', bare, userPublic, { ...values, is_verified: false })
      check.equal('the password signs in', typeof (await cast.token(right.email, right.password)), 'string')
      const verified = { ...right, email: cast.address(), full_name: null, is_verified: true }
      const { password: _, ...shown } = verified
      check.shape(
        'is_verified is kept; a null name; no slash',
        await post(verified, '/private/users'),
        userPublic,
        shown,
      )
      const taken = 'The user with this email already exists in the system'
      check.error(
        '400 for a known address',
        await post({ ...right, email: right.email.toLowerCase() }),
        400,
        taken,
      )
      check.faults('422 without fields', await post({}), 'body.email', 'body.full_name', 'body.password')
      const fields = {
        email: wrong.email,
        password: wrong.password,
        full_name: wrong.full_name,
        is_verified: wrong.flag,
      }
      await fieldRules(
        context,
        { method: 'POST', path, right: { ...right, email: longAddress(100) } },
        fields,
      )
      await bodyRules(context, 'POST', path)
    },
  },
]
