import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { ItemsService, LoginService, UsersService } from './client'
import { client } from './client/client.gen'
import type { HttpError, HttpValidationError, ItemPublic, Token, UserPublic } from './client'

let token = ''
client.setConfig({ baseUrl: process.env['BASE_URL'] ?? '', auth: () => token })
const seen = (step: string) => console.log(`✓ ${step}`)
const password = 'correct horse battery'

async function signUp(): Promise<UserPublic> {
  const { data } = await UsersService.registerUser({
    body: { email: `${randomUUID()}@example.com`, password },
    throwOnError: true,
  })
  return data
}

async function signIn({ email }: UserPublic): Promise<Token> {
  const { data } = await LoginService.loginAccessToken({
    body: { username: email, password },
    throwOnError: true,
  })
  return data
}

const ada = await signUp()
const name: string | null = ada.full_name
assert.equal(name, null)
seen('sign up')

const session = await signIn(ada)
assert.equal(session.token_type satisfies string, 'bearer')
assert.ok((session.expires_in satisfies number) > 0)
seen('log in with the form')

const refreshed = await LoginService.refreshToken({
  body: { refresh_token: session.refresh_token },
  throwOnError: true,
})
token = refreshed.data.access_token
seen('refresh')

const created = await ItemsService.createItem({ body: { title: 'Engine' }, throwOnError: true })
const item: ItemPublic = created.data
const description: string | null = item.description
assert.equal(description, null)
seen('create')

const list = await ItemsService.readItems({ query: { limit: 10 }, throwOnError: true })
assert.deepEqual(
  { count: list.data.count satisfies number, data: list.data.data satisfies ItemPublic[] },
  { count: 1, data: [item] },
)
seen('list')

const path = { id: item.id }
const updated = await ItemsService.updateItem({ path, body: { description: 'Brass' }, throwOnError: true })
assert.deepEqual(updated.data, { ...item, description: 'Brass' })
seen('update')

/** An error is of the types that the document gives the operation. */
const textOf = (error: HttpError | HttpValidationError | undefined): string =>
  typeof error?.detail === 'string' ? error.detail : 'no text'

const ofAda = token
token = (await signIn(await signUp())).access_token
const forbidden = await ItemsService.readItem({ path })
assert.equal(forbidden.response?.status, 403)
assert.equal(textOf(forbidden.error), 'Not enough permissions')
seen('read a 403')
token = ofAda

const invalid = await ItemsService.createItem({ body: { title: '' } })
const faults = invalid.error?.detail
assert.ok(invalid.response?.status === 422 && Array.isArray(faults))
assert.deepEqual(faults[0]?.loc satisfies (string | number)[] | undefined, ['body', 'title'])
assert.equal(faults[0]?.type satisfies string | undefined, 'string_too_short')
seen('read a 422')

const deleted = await ItemsService.deleteItem({ path, throwOnError: true })
assert.equal(deleted.data.message satisfies string, 'Item deleted successfully')
seen('delete')

const missing = await ItemsService.readItem({ path })
assert.equal(missing.response?.status, 404)
assert.equal(textOf(missing.error), 'Item not found')
seen('read a 404')
