import { field } from './cast.ts'
import { ECHO } from './check.ts'
import { UNKNOWN_ID, type Context, type Row } from './context.ts'
import { bodyRules, fieldRules, guard } from './probes.ts'
import { factorsPublic, isMap, recoveryCodes, secondFactorRequired, token, totpEnrollment } from './shapes.ts'
import { wrong } from './wrong.ts'
import { totpOf } from '../support/totp.ts'

const LIST = '/users/me/factors'
const TOTP_PATH = `${LIST}/totp`
const WRONG = 'Incorrect code'
const UNKNOWN = 'Factor not found'

/** Somebody with an authenticator that counts. */
async function enrolled({ api, cast }: Context) {
  const ada = await cast.person()
  const enrollment = await api('POST', TOTP_PATH, { as: ada, json: {} })
  const [id, secret] = [field(enrollment, 'id'), field(enrollment, 'secret')]
  const given = await api('POST', `${LIST}/${id}/verify`, { as: ada, json: { code: totpOf(secret, -1) } })
  const codes = isMap(given.body) && Array.isArray(given.body.recovery_codes) ? given.body.recovery_codes : []
  return { ada, id, secret, given, codes: codes.map(String) }
}

const text = [null, 5, '', [ECHO], `${ECHO}\u0000`]

/** Second factors. */
export const factors: Row[] = [
  {
    operation: 'users-enroll_totp',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'POST', TOTP_PATH)
      const ada = await cast.person()
      const enroll = async (json: object) => api('POST', TOTP_PATH, { as: ada, json })
      check.shape('an authenticator', await enroll({ name: 'Phone', [ECHO]: 1 }), totpEnrollment)
      check.shape('another instead', await enroll({}), totpEnrollment)
      await fieldRules(
        context,
        { method: 'POST', path: TOTP_PATH, as: ada, right: {} },
        { name: wrong.full_name },
      )
      await bodyRules(context, 'POST', TOTP_PATH, ada)
    },
  },
  {
    operation: 'users-read_factors',
    async walk(context) {
      const { api, check } = context
      await guard(context, 'user', 'GET', LIST)
      const { ada } = await enrolled(context)
      check.shape('one that counts', await api('GET', LIST, { as: ada }), factorsPublic, {
        recovery_codes_left: 10,
      })
    },
  },
  {
    operation: 'users-verify_totp',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'POST', `${LIST}/${UNKNOWN_ID}/verify`)
      const { ada, id, given } = await enrolled(context)
      check.shape('the first time', given, recoveryCodes)
      const path = `${LIST}/${id}/verify`
      const verify = async (code: string, at = path, as = ada) => api('POST', at, { as, json: { code } })
      check.error('400 for a wrong code', await verify('abcdef'), 400, WRONG)
      check.error('404', await verify('123456', `${LIST}/${UNKNOWN_ID}/verify`), 404, UNKNOWN)
      check.error("404 for another's", await verify('123456', path, await cast.ordinary()), 404, UNKNOWN)
      check.faults('422 for no id', await verify('123456', `${LIST}/${ECHO}/verify`), 'path.id')
      await fieldRules(context, { method: 'POST', path, as: ada, right: {} }, { code: text })
      await bodyRules(context, 'POST', path, ada)
    },
  },
  {
    operation: 'login-second_factor',
    async walk(context) {
      const { api, check } = context
      const path = '/login/second-factor'
      const { ada, secret, codes } = await enrolled(context)
      const form = { username: ada.email, password: ada.password }
      const signIn = async (more = {}) => api('POST', '/login/access-token', { form: { ...form, ...more } })
      const asked = await signIn()
      check.status('a password alone', asked, 400)
      check.holds(
        'is answered with a challenge',
        isMap(asked.body) &&
          Object.entries(secondFactorRequired).every(([key, fits]) =>
            fits((asked.body as Record<string, unknown>)[key]),
          ),
        'detail, code, challenge, methods, expires_in',
        asked,
      )
      const challenge = isMap(asked.body) ? String(asked.body.challenge) : ''
      const show = async (code: string, one = challenge) =>
        api('POST', path, { json: { challenge: one, code } })
      check.error('400 for a wrong code', await show('abcdef'), 400, WRONG)
      check.error('400 for a wrong challenge', await show('123456', 'unknown'), 400, 'Invalid token')
      check.shape('the right one', await show(totpOf(secret)), token)
      check.error('a challenge is good once', await show(codes[1] ?? ''), 400, 'Invalid token')
      check.shape('password and code in one call', await signIn({ code: codes[0] ?? '' }), token)
      check.error('a code is good once', await signIn({ code: codes[0] ?? '' }), 400, WRONG)
      const right = { challenge: 'unknown', code: '123456' }
      await fieldRules(context, { method: 'POST', path, right }, { challenge: wrong.token, code: text })
      await bodyRules(context, 'POST', path)
    },
  },
  {
    operation: 'users-create_recovery_codes',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/users/me/recovery-codes'
      await guard(context, 'user', 'POST', path)
      const make = async (as: { token: string }) => api('POST', path, { as })
      check.error('403 without a factor', await make(await cast.ordinary()), 403, 'Second factor required')
      const { ada } = await enrolled(context)
      check.shape('ten new ones', await make(ada), recoveryCodes)
    },
  },
  {
    operation: 'users-delete_factor',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'DELETE', `${LIST}/${UNKNOWN_ID}`)
      const { ada, id } = await enrolled(context)
      const remove = async (one: string, as = ada) => api('DELETE', `${LIST}/${one}`, { as })
      check.error('404', await remove(UNKNOWN_ID), 404, UNKNOWN)
      check.error("404 for another's", await remove(id, await cast.ordinary()), 404, UNKNOWN)
      check.faults('422 for no id', await remove(ECHO), 'path.id')
      check.message('one of mine', await remove(id), 'Factor removed')
    },
  },
  {
    operation: 'users-reset_factors',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'DELETE', `/users/${ECHO}/factors`)
      const { ada } = await enrolled(context)
      const reset = async (id: string) => api('DELETE', `/users/${id}/factors`, { as: cast.admin })
      check.message('of a user', await reset(ada.id), 'Factors removed')
      check.error('404', await reset(UNKNOWN_ID), 404, 'User not found')
      check.faults('422 for no id', await reset(ECHO), 'path.user_id')
      check.shape(
        'who signs in with the password again',
        await api('POST', '/login/access-token', { form: { username: ada.email, password: ada.password } }),
        token,
      )
    },
  },
]
