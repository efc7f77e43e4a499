import { field } from './cast.ts'
import { ECHO } from './check.ts'
import { BODY_LIMIT, type Row } from './context.ts'
import { guard } from './probes.ts'
import { token, userPublic } from './shapes.ts'

const INCORRECT = 'Incorrect email or password'
const REVOKED = 'Could not validate credentials'

export const login: Row[] = [
  {
    operation: 'login-login_access_token',
    async walk({ api, cast, check }) {
      const path = '/login/access-token'
      const ada = await cast.person()
      const right = { username: ada.email, password: ada.password }
      const post = async (form: Record<string, string>, at = path) => api('POST', at, { form })
      const first = await post(right)
      check.shape('a token', first, token)
      check.equal('Cache-Control', first.headers['cache-control'], 'no-store')
      const [header = ''] = field(first, 'access_token').split('.')
      check.holds(
        'signed with HS256',
        Buffer.from(header, 'base64url').includes('"HS256"'),
        '"HS256"',
        header,
      )
      const spelled = { ...right, username: ada.email.toLowerCase(), grant_type: 'password' }
      const optional = { scope: '', client_id: '', client_secret: '', [ECHO]: ECHO }
      check.shape(
        'address in any case, optional and unknown fields, slash',
        await post({ ...spelled, ...optional }, `${path}/`),
        token,
      )
      for (const form of [
        { ...right, password: cast.password() },
        { ...right, password: 'short' },
        { ...right, password: '' },
        { ...right, password: '🦊'.repeat(129) },
        { ...right, password: 'x'.repeat(30_000) },
        { ...right, username: cast.address() },
        { ...right, username: 'no address' },
        { ...right, username: '' },
      ])
        check.error(
          `400 for ${form.username.length} and ${form.password.length} letters`,
          await post(form),
          400,
          INCORRECT,
        )
      check.faults('422 without fields', await post({ scope: 'x' }), 'body.password', 'body.username')
      check.faults('422 for another grant', await post({ ...right, grant_type: ECHO }), 'body.grant_type')
      check.faults(
        '422 for U+0000 in the name',
        await post({ ...right, username: `${ECHO}\u0000` }),
        'body.username',
      )
      check.faults(
        '422 for U+0000 in the password',
        await post({ ...right, password: `${ECHO}\u0000` }),
        'body.password',
      )
      check.error('415 for JSON', await api('POST', path, { json: right }), 415)
      check.error('413 over 32 KiB', await post({ ...right, scope: 'x'.repeat(BODY_LIMIT) }), 413)
      check.status('no body', await api('POST', path), 422)
      check.status(
        'an empty form under any content type',
        await api('POST', path, { type: 'application/xml', body: '' }),
        422,
      )
      const twice = `username=${ECHO}&username=b&password=c`
      check.status(
        'a field sent twice',
        await api('POST', path, { type: 'application/x-www-form-urlencoded', body: twice }),
        400,
        422,
      )
      const longest = { email: cast.address(), password: '🦊'.repeat(128) }
      await api('POST', '/users/', { as: cast.admin, json: longest })
      check.shape(
        '128 emoji sign in',
        await post({ username: longest.email, password: longest.password }),
        token,
      )
      await api('PATCH', `/users/${ada.id}`, { as: cast.admin, json: { is_active: false } })
      check.error('400 for an inactive user', await post(right), 400, 'Inactive user')
      const both = { ...right, password: cast.password() }
      check.error('an inactive user with a wrong password', await post(both), 400, INCORRECT)
    },
  },
  {
    operation: 'login-test_token',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/login/test-token'
      await guard(context, 'user', 'POST', path)
      const ada = await cast.ordinary()
      check.shape('oneself', await api('POST', path, { as: ada }), userPublic, {
        id: ada.id,
        email: ada.email,
      })
      for (const type of ['application/json', 'text/plain'])
        check.status(`an empty body under ${type}`, await api('POST', path, { as: ada, type, body: '' }), 200)
      const [header = '', claims = '', signature = ''] = ada.token.split('.')
      const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')
      const swapped = signature.startsWith('A') ? `B${signature.slice(1)}` : `A${signature.slice(1)}`
      const forged = {
        'another signature': `${header}.${claims}.${swapped}`,
        'no signature': `${none}.${claims}.`,
      }
      for (const [what, one] of Object.entries({ ...forged, 'two parts': `${header}.${claims}`, dots: '..' }))
        check.error(`401 for ${what}`, await api('POST', path, { as: { token: one } }), 401, REVOKED)
      const form = { username: ada.email, password: ada.password }
      const refresh = field(await api('POST', '/login/access-token', { form }), 'refresh_token')
      check.error(
        '401 for a refresh token',
        await api('POST', path, { as: { token: refresh } }),
        401,
        REVOKED,
      )
      const basic = await api('POST', path, { headers: { authorization: 'Basic YTpi' } })
      check.error('401 for another scheme', basic, 401, 'Not authenticated')
    },
  },
]
