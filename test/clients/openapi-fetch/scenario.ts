import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import createClient from 'openapi-fetch'
import type { components, paths } from './schema'

type Schema = components['schemas']
let token = ''
const api = createClient<paths>({ baseUrl: process.env['BASE_URL'] ?? '' })
api.use({
  onRequest({ request }) {
    if (token !== '') request.headers.set('authorization', `Bearer ${token}`)
  },
})
const seen = (step: string) => console.log(`✓ ${step}`)
const password = 'correct horse battery'

/** What an answer carries, where it is a good one. */
function good<T>({ data, response }: { data?: T; response: Response }): T {
  assert.ok(data !== undefined, `${response.url}: ${response.status}`)
  return data
}

async function signUp(): Promise<Schema['UserPublic']> {
  const body: Schema['UserRegister'] = { email: `${randomUUID()}@example.com`, password }
  return good(await api.POST('/api/v1/users/signup', { body }))
}

async function signIn({ email }: Schema['UserPublic']): Promise<Schema['Token']> {
  const form = await api.POST('/api/v1/login/access-token', {
    body: { username: email, password },
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  return good(form)
}

const ada = await signUp()
const name: string | null = ada.full_name
assert.equal(name, null)
seen('sign up')

const session = await signIn(ada)
assert.equal(session.token_type satisfies string, 'bearer')
assert.ok((session.expires_in satisfies number) > 0)
seen('log in with the form')

const { refresh_token } = session
token = good(await api.POST('/api/v1/login/refresh-token', { body: { refresh_token } })).access_token
seen('refresh')

const item = good(await api.POST('/api/v1/items/', { body: { title: 'Engine' } }))
const description: string | null = item.description
assert.equal(description, null)
seen('create')

const list = good(await api.GET('/api/v1/items/', { params: { query: { limit: 10 } } }))
assert.deepEqual(
  { count: list.count satisfies number, data: list.data satisfies Schema['ItemPublic'][] },
  { count: 1, data: [item] },
)
seen('list')

const params = { path: { id: item.id } }
const updated = await api.PUT('/api/v1/items/{id}', { params, body: { description: 'Brass' } })
assert.deepEqual(good(updated), { ...item, description: 'Brass' })
seen('update')

/** An error is of the types that the document gives the operation. */
const textOf = (error: Schema['HTTPError'] | Schema['HTTPValidationError'] | undefined): string =>
  typeof error?.detail === 'string' ? error.detail : 'no text'

const ofAda = token
token = (await signIn(await signUp())).access_token
const forbidden = await api.GET('/api/v1/items/{id}', { params })
assert.equal(forbidden.response.status, 403)
assert.equal(textOf(forbidden.error), 'Not enough permissions')
seen('read a 403')
token = ofAda

const invalid = await api.POST('/api/v1/items/', { body: { title: '' } })
const faults = invalid.error?.detail
assert.ok(invalid.response.status === 422 && Array.isArray(faults))
assert.deepEqual(faults[0]?.loc satisfies (string | number)[] | undefined, ['body', 'title'])
assert.equal(faults[0]?.type satisfies string | undefined, 'string_too_short')
seen('read a 422')

const deleted = good(await api.DELETE('/api/v1/items/{id}', { params }))
assert.equal(deleted.message satisfies string, 'Item deleted successfully')
seen('delete')

const missing = await api.GET('/api/v1/items/{id}', { params })
assert.equal(missing.response.status, 404)
assert.equal(textOf(missing.error), 'Item not found')
seen('read a 404')

/** What has a default may be left out of a body. */
const account: Schema['UserCreate'] = { email: 'grace@example.com', password }
assert.equal(account.is_active satisfies boolean | undefined, undefined)
