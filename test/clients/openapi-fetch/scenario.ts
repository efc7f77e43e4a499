import createClient from 'openapi-fetch'
import type { components, paths } from './schema'
import { walk } from './walk'

let token = ''
const api = createClient<paths>({ baseUrl: process.env['BASE_URL'] ?? '' })
api.use({
  onRequest({ request }) {
    if (token !== '') request.headers.set('authorization', `Bearer ${token}`)
  },
})

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const ITEM = '/api/v1/items/{id}'
const VERIFY = '/api/v1/users/me/factors/{id}/verify'

await walk(
  {
    signUp: (body) => api.POST('/api/v1/users/signup', { body }),
    signIn: (body) => api.POST('/api/v1/login/access-token', { body, headers: FORM }),
    refresh: (body) => api.POST('/api/v1/login/refresh-token', { body }),
    reauthenticate: (body) => api.POST('/api/v1/login/reauthenticate', { body }),
    enroll: (body) => api.POST('/api/v1/users/me/factors/totp', { body }),
    verify: (id, body) => api.POST(VERIFY, { params: { path: { id } }, body }),
    secondFactor: (body) => api.POST('/api/v1/login/second-factor', { body }),
    createKey: (body) => api.POST('/api/v1/users/me/api-keys', { body }),
    activity: (query) => api.GET('/api/v1/users/me/activity', { params: { query } }),
    create: (body) => api.POST('/api/v1/items/', { body }),
    list: (query) => api.GET('/api/v1/items/', { params: { query } }),
    update: (id, body) => api.PUT(ITEM, { params: { path: { id } }, body }),
    read: (id) => api.GET(ITEM, { params: { path: { id } } }),
    remove: (id) => api.DELETE(ITEM, { params: { path: { id } } }),
  },
  (given) => (token = given),
)

/** What has a default may be left out of a body. */
export const account: components['schemas']['UserCreate'] = {
  email: 'grace@example.com',
  password: 'correct horse battery',
}
