import { recoveryLink } from './cast.ts'
import { ECHO } from './check.ts'
import type { Row } from './context.ts'
import { bodyRules, fieldRules, guard } from './probes.ts'
import { userPublic } from './shapes.ts'
import { longAddress, wrong } from './wrong.ts'

const ANYWAY = 'If that email is registered, we sent a password recovery link'
const CHANGED = 'Password updated successfully'
const INCORRECT = 'Incorrect email or password'
const REVOKED = 'Could not validate credentials'

/** The routes of the login tag for those who have lost their password. */
export const recovery: Row[] = [
  {
    operation: 'login-recover_password',
    async walk({ api, cast, check }) {
      const post = async (email: string, slash = '') =>
        api('POST', `/password-recovery/${encodeURIComponent(email)}${slash}`)
      const ada = await cast.ordinary()
      check.message('a known address', await post(ada.email), ANYWAY)
      const long = `${'l'.repeat(65)}@example.com`
      check.message('a longer local part than a new address may have', await post(long), ANYWAY)
      check.message('in another case, with a slash', await post(ada.email.toUpperCase(), '/'), ANYWAY)
      check.message('an unknown address', await post(cast.address()), ANYWAY)
      check.message('an unknown address of 255 characters', await post(longAddress(255)), ANYWAY)
      check.status('one of 300 characters is no other route', await post(longAddress(300)), 200, 422)
      check.status('no address', await post(ECHO), 200, 422)
      check.faults('422 for U+0000', await post(`${ECHO}\u0000@example.com`), 'path.email')
      const call = { type: 'application/json', body: '' }
      check.message('an empty JSON body', await api('POST', `/password-recovery/${ada.email}`, call), ANYWAY)
      check.shape('the user stays signed in', await api('GET', '/users/me', { as: ada }), userPublic)
    },
  },
  {
    operation: 'login-recover_password_html_content',
    async walk(context) {
      const { api, cast, check } = context
      const base = '/password-recovery-html-content/'
      const ada = await cast.ordinary()
      await guard(context, 'superuser', 'POST', `${base}${ada.email}`)
      const missing = 'The user with this username does not exist in the system.'
      check.error('404', await api('POST', base + cast.address(), { as: cast.admin }), 404, missing)
      check.faults(
        '422 for U+0000',
        await api('POST', `${base}${ECHO}%00@a.example.com`, { as: cast.admin }),
        'path.email',
      )
      const forged = { as: cast.admin, headers: { host: 'attacker.example' } }
      const elsewhere = await api('POST', base + ada.email, forged)
      const mail = await api('POST', base + ada.email.toLowerCase(), { as: cast.admin })
      check.holds(
        '200 text/html',
        mail.status === 200 && /^text\/html\b/.test(mail.headers['content-type'] ?? ''),
        '200 text/html',
        mail,
      )
      const link = recoveryLink(mail.text)
      check.holds(
        'a link with the token last',
        /\/reset-password\?token=[^"&]+$/.test(link?.href ?? ''),
        '…/reset-password?token=…',
        link,
      )
      check.holds(
        'the Host header makes no link',
        !elsewhere.text.includes('attacker.example'),
        'no attacker.example',
        elsewhere,
      )
    },
  },
  {
    operation: 'login-reset_password',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/reset-password/'
      const ada = await cast.person()
      const [older, newer] = [await cast.resetToken(ada.email), await cast.resetToken(ada.email)]
      const post = async (one: string, new_password = cast.password()) =>
        api('POST', path, { json: { token: one, new_password } })
      check.faults('422 comes before 400', await post(`${ECHO}-unknown`, '1234567'), 'body.new_password')
      const changed = cast.password()
      const json = { token: newer, new_password: changed, [ECHO]: 1 }
      check.message('with a link', await api('POST', '/reset-password', { json }), CHANGED)
      check.error('ends every session', await api('GET', '/users/me', { as: ada }), 401, REVOKED)
      const again = { token: await cast.token(ada.email, changed) }
      check.shape('verifies the address', await api('GET', '/users/me', { as: again }), userPublic, {
        is_verified: true,
      })
      const form = { username: ada.email, password: ada.password }
      check.error(
        'the old password is gone',
        await api('POST', '/login/access-token', { form }),
        400,
        INCORRECT,
      )
      const tokens = { used: newer, older, unknown: 'unknown', 'of another kind': again.token }
      for (const [what, one] of Object.entries(tokens))
        check.error(`400 for a token ${what}`, await post(one), 400, 'Invalid token')
      const asleep = await cast.resetToken(ada.email)
      check.error('400 for an altered token', await post(`${asleep.slice(0, -2)}xx`), 400, 'Invalid token')
      await api('PATCH', `/users/${ada.id}`, { as: cast.admin, json: { is_active: false } })
      check.error('400 for an inactive user', await post(asleep), 400, 'Inactive user')
      await api('PATCH', `/users/${ada.id}`, { as: cast.admin, json: { is_active: true } })
      const gone = await cast.resetToken(ada.email)
      await api('DELETE', `/users/${ada.id}`, { as: cast.admin })
      check.error('400 for a user who is gone', await post(gone), 400, 'Invalid token')
      check.faults(
        '422 without fields',
        await api('POST', path, { json: {} }),
        'body.new_password',
        'body.token',
      )
      const right = { token: 'unknown', new_password: changed }
      await fieldRules(
        context,
        { method: 'POST', path, right },
        { token: wrong.token, new_password: wrong.password },
      )
      await bodyRules(context, 'POST', path)
    },
  },
  {
    operation: 'login-undo_email_change',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/undo-email-change/'
      const post = async (token: string) => api('POST', path, { json: { token } })
      const ada = await cast.person()
      const tokens = {
        unknown: 'unknown',
        'of another kind': ada.token,
        'of a reset': await cast.resetToken(ada.email),
      }
      for (const [what, one] of Object.entries(tokens))
        check.error(`400 for a token ${what}`, await post(one), 400, 'Invalid token')
      check.shape('nothing changes', await api('GET', '/users/me', { as: ada }), userPublic)
      const right = { token: 'unknown' }
      await fieldRules(context, { method: 'POST', path, right }, { token: wrong.token })
      await bodyRules(context, 'POST', path)
    },
  },
]
