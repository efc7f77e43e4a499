import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'

/** What both TypeScript clients are walked through: each brings its calls, whose generated types have to fit these. */

interface User {
  id: string
  email: string
  full_name: string | null
  is_active: boolean
}
interface Token {
  access_token: string
  refresh_token: string
  token_type: string
  expires_in: number
}
interface Event {
  at: string
  event: string
  actor_id: string | null
  details: Record<string, unknown>
}
interface Item {
  id: string
  title: string
  description: string | null
}
interface Page {
  data: Item[]
  count: number
  next_cursor: string | null
}
interface Fault {
  loc: (string | number)[]
  msg: string
  type: string
}

/** The one that came is there: `data` of a good answer, `error` of another. */
export interface Answer<Data> {
  data?: Data | undefined
  error?: { detail: string | Fault[]; code: string; challenge?: string } | undefined
  response?: Response
}

/** A field with a `?` may be left out, one that takes null says so. */
export interface Calls {
  signUp(body: { email: string; password: string; full_name?: string | null }): Promise<Answer<User>>
  signIn(body: { username: string; password: string }): Promise<Answer<Token>>
  refresh(body: { refresh_token: string }): Promise<Answer<Token>>
  reauthenticate(body: { password: string }): Promise<Answer<{ message: string }>>
  enroll(body: { name?: string | null }): Promise<Answer<{ id: string; secret: string }>>
  verify(id: string, body: { code: string }): Promise<Answer<{ recovery_codes: string[] }>>
  secondFactor(body: { challenge: string; code: string }): Promise<Answer<Token>>
  createKey(body: { name: string; permissions: string[] }): Promise<Answer<{ key: string }>>
  activity(query: { limit?: number }): Promise<Answer<{ data: Event[]; next_cursor: string | null }>>
  create(body: { title: string; description?: string | null }): Promise<Answer<Item>>
  list(query: { limit?: number; cursor?: string }): Promise<Answer<Page>>
  update(id: string, body: { title?: string; description?: string | null }): Promise<Answer<Item>>
  read(id: string): Promise<Answer<Item>>
  remove(id: string): Promise<Answer<{ message: string }>>
}

const password = 'correct horse battery'
const seen = (step: string) => console.log(`✓ ${step}`)

async function good<Data>(answer: Promise<Answer<Data>>): Promise<Data> {
  const { data, error, response } = await answer
  assert.ok(data !== undefined, `${response?.status} ${JSON.stringify(error)}`)
  return data
}

async function refusal(answer: Promise<Answer<unknown>>, status: number) {
  const { error, response } = await answer
  assert.equal(response?.status, status)
  assert.ok(error)
  return error
}

/** Five bits a letter. */
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** The code of an authenticator now (RFC 6238). */
function codeOf(secret: string): string {
  const bits = [...secret].map((letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)))
  const digest = createHmac('sha1', key).update(step).digest()
  const number = digest.readUInt32BE((digest.at(-1) ?? 0) & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, '0')
}

/** @param as says whose token is sent from now on */
export async function walk(calls: Calls, as: (token: string) => void) {
  const signUp = () => good(calls.signUp({ email: `${randomUUID()}@example.com`, password }))
  const signIn = ({ email }: User) => good(calls.signIn({ username: email, password }))

  const ada = await signUp()
  assert.equal(ada.full_name, null)
  seen('sign up')

  const session = await signIn(ada)
  assert.equal(session.token_type, 'bearer')
  assert.ok(session.expires_in > 0)
  seen('log in with the form')

  const { access_token } = await good(calls.refresh({ refresh_token: session.refresh_token }))
  as(access_token)
  assert.equal((await good(calls.reauthenticate({ password }))).message, 'Reauthenticated')
  const activity = await good(calls.activity({ limit: 2 }))
  assert.deepEqual(
    activity.data.map(({ event, actor_id }) => [event, actor_id]),
    [
      ['reauthenticated', ada.id],
      ['sign_in', ada.id],
    ],
  )
  seen('refresh')

  const item = await good(calls.create({ title: 'Engine' }))
  assert.equal(item.description, null)
  seen('create')

  const { data, count, next_cursor } = await good(calls.list({ limit: 10 }))
  assert.deepEqual({ data, count, next_cursor }, { data: [item], count: 1, next_cursor: null })
  const second = await good(calls.create({ title: 'Loom', description: null }))
  const first = await good(calls.list({ limit: 1 }))
  const rest = await good(calls.list({ limit: 1, cursor: first.next_cursor ?? '' }))
  assert.deepEqual([...first.data, ...rest.data], [second, item])
  seen('list')

  const updated = await good(calls.update(item.id, { description: 'Brass' }))
  assert.deepEqual(updated, { ...item, description: 'Brass' })
  assert.deepEqual(await good(calls.update(item.id, { description: null })), item)
  seen('update')

  as((await signIn(await signUp())).access_token)
  assert.deepEqual(await refusal(calls.read(item.id), 403), {
    detail: 'Not enough permissions',
    code: 'not_enough_permissions',
  })
  seen('read a 403')
  as(access_token)

  const grace = await signUp()
  as((await signIn(grace)).access_token)
  const { id, secret } = await good(calls.enroll({ name: 'Phone' }))
  const { recovery_codes } = await good(calls.verify(id, { code: codeOf(secret) }))
  const asked = await refusal(calls.signIn({ username: grace.email, password }), 400)
  assert.equal(asked.code, 'second_factor_required')
  const shown = { challenge: asked.challenge ?? '', code: recovery_codes[0] ?? '' }
  as((await good(calls.secondFactor(shown))).access_token)
  seen('sign in with a second factor')

  const { key } = await good(calls.createKey({ name: 'Export', permissions: ['items:read'] }))
  as(key)
  assert.equal((await good(calls.list({}))).count, 0)
  assert.equal((await refusal(calls.create({ title: 'Engine' }), 403)).code, 'api_key_not_allowed')
  seen('use an API key')
  as(access_token)

  const { detail: faults, code } = await refusal(calls.create({ title: '' }), 422)
  assert.equal(code, 'validation_error')
  assert.ok(Array.isArray(faults))
  assert.deepEqual(faults[0]?.loc, ['body', 'title'])
  assert.equal(faults[0]?.type, 'string_too_short')
  seen('read a 422')

  assert.equal((await good(calls.remove(item.id))).message, 'Item deleted successfully')
  seen('delete')

  assert.equal((await refusal(calls.read(item.id), 404)).code, 'item_not_found')
  seen('read a 404')
}
