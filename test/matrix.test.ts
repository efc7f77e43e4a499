import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { startIdentityProvider } from './support/identity-provider.ts'
import { test } from 'tap'
import { resources } from '../src/app.ts'
import { SUPERUSERS_ONLY } from '../src/contract/document.ts'
import {
  ApiKeyNotAllowed,
  type ApiErrorKind,
  InvalidCredentials,
  NotAuthenticated,
  NotEnoughPermissions,
  NotEnoughPrivileges,
} from '../src/contract/errors.ts'
import { reveal } from '../src/ownership/owned-table.ts'
import { isAnswer } from './support/answers.ts'
import { credential } from './support/authenticator.ts'
import { cheapHashing } from './support/cheap-hashing.ts'
import { type Described, documentOf, operationsOf } from './support/document.ts'
import { paperRoutes } from './support/papers.ts'
import { type MakeRow, requestWithRows } from './support/samples.ts'
import type { Answer, Person, Service } from './support/service.ts'
import { specimenRoutes, startWithSpecimens } from './support/specimens.ts'

/**
 * fault 9: every operation of the document × every role. The expected answer comes from the errors that it declares, the
 * request from its schema, so that a new route is covered by itself.
 */

const declared = [...resources, paperRoutes, ...specimenRoutes]

/** Of the resources of tests, papers and those that are shared: what the others are allowed is the same. */
const isOfInterest = ({ operation: { tags } }: Described) =>
  !['drawers', 'specimens', 'fallbacks', 'borrowings', 'assortments'].some((name) => tags.includes(name))

/** In this order: those who must not change anything come before the owner. */
const ROLES = ['nobody', 'garbage', 'inactive', 'weak key', 'another', 'owner', 'superuser', 'key'] as const
/** Whom a row is shared with, where its resource shares rows. */
const SHARED_ROLES = ['reader', 'changer'] as const
type Role = (typeof ROLES)[number]
/** The error, 'not found' where a row of others is not even confirmed, 'let in', or 'anything'. */
type Expected = ApiErrorKind | 'not found' | 'let in' | 'anything'

const declares = ({ responses }: Described['operation'], { status, code }: ApiErrorKind) =>
  code in (responses[status]?.content?.['application/json']?.examples ?? {})

/** What an API key needs. */
const permissionOf = (operation: Described['operation']) => operation['x-permission']

function expected({ operation, path, method }: Described, role: Role): Expected {
  if (operation.security.length === 0) return 'let in'
  if (role === 'nobody') return NotAuthenticated
  if (role === 'garbage' || role === 'inactive') return InvalidCredentials
  if (role === 'weak key' || role === 'key') {
    if (operation.description?.startsWith(SUPERUSERS_ONLY)) return NotEnoughPrivileges
    return role === 'key' && permissionOf(operation) !== undefined ? 'let in' : ApiKeyNotAllowed
  }
  if (role === 'superuser') return 'let in'
  if (operation.description?.startsWith(SUPERUSERS_ONLY)) return NotEnoughPrivileges
  // The parameter names a provider, which is everybody's.
  const namesRow = path.includes('{') && operation.operationId !== 'users-link_identity'
  if (role === 'owner' || !namesRow) return 'let in'
  // Rows are shared by a condition: whether another may read them is not to be told from here.
  if (role === 'another' && method === 'GET' && isSharedByCondition(operation)) return 'anything'
  return [NotEnoughPrivileges, NotEnoughPermissions].find((kind) => declares(operation, kind)) ?? 'not found'
}

/** What those whom a row is shared with may do with it: read it, and change fields of theirs. */
const expectedOfShared = (method: Described['method'], role: (typeof SHARED_ROLES)[number]): Expected =>
  method === 'GET' || (method === 'PUT' && role === 'changer') ? 'let in' : NotEnoughPermissions

const isRefusal = ({ body }: Answer) =>
  [NotEnoughPrivileges, NotEnoughPermissions, ApiKeyNotAllowed].some(({ code }) => code === body?.code)

/** Let in: the status is declared, and is no refusal of the role, no 404, 422 or 5xx. */
const isLetIn = ({ operation }: Described, answer: Answer) =>
  String(answer.status) in operation.responses &&
  answer.status < 500 &&
  ![404, 422].includes(answer.status) &&
  (answer.status !== 401 || operation.security.length === 0) &&
  !isRefusal(answer)

const isSharedByCondition = ({ tags }: Described['operation']) => {
  const found = declared.find(({ tag }) => tags.includes(tag.name))
  const { readers, changers } = found ? reveal(found.table).ownership : {}
  return [readers, changers].some((who) => who && who.field === undefined)
}

interface Sharing {
  readonly role: (typeof SHARED_ROLES)[number]
  /** The field that names them. */
  readonly field: string
  /** Fields that they may send. */
  readonly changeable: readonly string[]
}

/** With whom the rows of an operation's resource are shared by a field; none for an operation that is not about one row. */
function sharingOf({ operation, path, method }: Described): Sharing[] {
  const found = declared.find(({ tag }) => operation.tags.includes(tag.name))
  if (!found || !/^[^{]*\{id\}$/.test(path) || !['GET', 'PUT', 'DELETE'].includes(method)) return []
  const { readers, changers, changeable } = reveal(found.table).ownership
  return Object.entries({ reader: readers, changer: changers }).flatMap(([role, who]) =>
    who?.field === undefined ? [] : [{ role: role as Sharing['role'], field: who.field, changeable }],
  )
}

/** New people for each operation, as some operations end sessions or accounts. */
async function castOf(
  service: Service,
  all: readonly Described[],
  operation: Described['operation'],
): Promise<Record<Role, Person | undefined>> {
  const permissions = [...new Set(all.flatMap((one) => permissionOf(one.operation) ?? []))]
  const withKey = async (person: Person, ...own: string[]): Promise<Person> => {
    const body = { name: 'A key', permissions: own }
    const made = await service.call('POST', '/users/me/api-keys', { as: person, body })
    return { ...person, token: made.body.key as string }
  }
  const other = permissions.find((permission) => permission !== permissionOf(operation))!
  const inactive = await service.person()
  await service.call('PATCH', `/users/${inactive.id}`, { as: service.admin, body: { is_active: false } })
  const owner = await service.person()
  return {
    nobody: undefined,
    garbage: { ...owner, token: 'garbage' },
    inactive,
    'weak key': await withKey(await service.person(), other),
    key: await withKey(await service.person(), ...permissions),
    another: await service.person(),
    owner,
    superuser: await service.superuser(),
  }
}

/** Creates the rows that a request refers to, as the person who sends it. */
const makeAs =
  (service: Service, as: Person): MakeRow =>
  async ({ path }, { search, ...request }) =>
    (await service.call('POST', path + search, { ...request, as })).body.id as string

/** The id of an API key of theirs. */
async function keyOf(service: Service, owner: Person): Promise<string> {
  const body = { name: 'Another key', permissions: ['users:read'] }
  return (await service.call('POST', '/users/me/api-keys', { as: owner, body })).body.id as string
}

/** The id of a passkey of theirs. */
async function passkeyOf(service: Service, owner: Person): Promise<string> {
  const { body } = await service.call('POST', '/users/me/passkeys/options', { as: owner })
  const options = body as { challenge: string; user: { id: string } }
  const key = credential(options.user.id).create(options)
  return (await service.call('POST', '/users/me/passkeys', { as: owner, body: key })).body.id as string
}

/** The id of an identity of theirs. */
async function identityOf(service: Service, owner: Person): Promise<string> {
  const [identity] = await service.rows<{ id: string }>(sql`
    insert into identities (user_id, provider, issuer, subject)
    values (${owner.id}, 'acme', 'https://acme.example', ${randomUUID()}) returning id`)
  return identity!.id
}

/** Fills in the parameters of a path: the owner, or a row of theirs that is created or found in a list. */
async function pathFor(
  service: Service,
  all: Described[],
  { path, method }: Described,
  owner: Person,
  more: object = {},
) {
  const [collection = '', name, rest, further] = path.split(/[{}]/)
  if (name === undefined) return path
  if (name === 'email') return collection + owner.email + rest
  if (collection.endsWith('/users/') && further !== undefined) {
    const idOf = { '/passkeys/': passkeyOf, '/identities/': identityOf }[rest ?? ''] ?? keyOf
    return `${collection}${owner.id}${rest}${await idOf(service, owner)}`
  }
  if (collection.endsWith('/users/')) return collection + owner.id + rest
  if (collection.endsWith('/oidc/') || (collection.endsWith('/identities/') && method === 'POST'))
    return `${collection}acme${rest}`
  if (collection.endsWith('/identities/')) return collection + (await identityOf(service, owner)) + rest
  if (collection.endsWith('/passkeys/')) return collection + (await passkeyOf(service, owner)) + rest
  if (collection.endsWith('/api-keys/')) return collection + (await keyOf(service, owner)) + rest
  const maker = all.find(({ path, method }) => method === 'POST' && path === collection)
  if (maker) {
    const request = await requestWithRows(documentOf(service.app), maker.operation, makeAs(service, owner))
    const row = { ...request, ...(request.body && { body: { ...request.body, ...more } }) }
    return collection + (await makeAs(service, owner)(maker, row)) + rest
  }
  if (collection.endsWith('/factors/'))
    await service.call('POST', '/users/me/factors/totp', { as: owner, body: {} })
  if (collection.endsWith('/mails/'))
    await service.call('POST', `/utils/test-email/?email_to=${owner.email}`, { as: service.admin })
  const as = collection.endsWith('/mails/') ? service.admin : owner
  const list = await service.call('GET', collection, { as })
  return collection + list.body.data[0].id + rest
}

void test('fault 9: each operation admits the roles that openapi.json declares, and no others', async (t) => {
  const provider = await startIdentityProvider(t)
  const env = { RATE_LIMIT_ENABLED: 'false', ...provider.env }
  const service = await startWithSpecimens(t, env, [paperRoutes])
  cheapHashing(service)
  const document = documentOf(service.app)
  const all = operationsOf(document)
  const cells: Record<string, number> = {}

  for (const described of all.filter(isOfInterest)) {
    const { operation, method } = described
    await t.test(operation.operationId, async (t) => {
      const people = await castOf(service, all, operation)
      const makePath = async (owner: Person) => pathFor(service, all, described, owner)
      const path = await makePath(people.owner!)
      /** Of a row of theirs, where a key can make one. */
      const pathForKey = async (person: Person) =>
        expected(described, 'key') === 'let in' ? makePath(person) : path
      const readable =
        path !== described.path && all.some((one) => one.path === described.path && one.method === 'GET')
      const read = async () => readable && (await service.call('GET', path, { as: service.admin })).body
      const before = await read()

      for (const role of ROLES) {
        const what = expected(described, role)
        const maker =
          role === 'another' || role === 'superuser' || role === 'key' ? people[role] : people.owner
        const { search, ...request } = await requestWithRows(document, operation, makeAs(service, maker!))
        // The owner's row may be deleted by now, and below /me/ a superuser needs rows of their own.
        const whose = path.includes('/me/') ? people.superuser! : await service.person()
        const at =
          role === 'superuser' ? await makePath(whose) : role === 'key' ? await pathForKey(people.key!) : path
        const answer = await service.call(method, at + search, { ...request, as: people[role] })
        const message = `${role} at ${method} ${described.path}`
        if (what === 'anything') t.ok(answer.status < 500, message)
        else if (what === 'let in')
          t.ok(isLetIn(described, answer), `${message} is let in: ${answer.status} ${answer.text}`)
        else if (what === 'not found') t.equal(answer.status, 404, `${message} is told that there is none`)
        else isAnswer(t, answer, what.status, what.detail, message)
        if (what !== 'let in') t.strictSame(await read(), before, `${message} changes nothing`)
        if (role === 'another' && method === 'GET' && what !== 'anything')
          t.notMatch(answer.text, people.owner!.id, `${message} sees nothing of the owner's`)
        const told = typeof what === 'string' ? what : String(what.status)
        cells[told] = (cells[told] ?? 0) + 1
      }

      for (const { role, field, changeable } of sharingOf(described)) {
        const person = await service.person()
        const at = await pathFor(service, all, described, people.owner!, { [field]: person.id })
        const { body = {}, ...request } = await requestWithRows(document, operation, makeAs(service, person))
        const own = Object.fromEntries(Object.entries(body).filter(([name]) => changeable.includes(name)))
        const before = (await service.call('GET', at, { as: service.admin })).body as unknown
        const ask = async (sent: object) =>
          service.call(method, at, { ...request, ...(method === 'PUT' && { body: sent }), as: person })
        const message = `${role} at ${method} ${described.path}`
        const what = expectedOfShared(method, role)
        if (method === 'PUT' || what !== 'let in') {
          isAnswer(t, await ask(body), 403, NotEnoughPermissions.detail, `${message}, with all fields`)
          t.strictSame((await service.call('GET', at, { as: service.admin })).body, before, 'changes nothing')
        }
        if (what === 'let in') t.equal((await ask(own)).status, 200, `${message} is let in`)
        const told = `${role} ${what === 'let in' ? what : '403'}`
        cells[told] = (cells[told] ?? 0) + 1
      }
    })
  }
  const counts = Object.entries(cells).map(([told, count]) => `${told} ${count}`)
  t.comment(
    `figure: the matrix: ${all.filter(isOfInterest).length} operations × ${ROLES.length}: ${counts.join(', ')}`,
  )
})
