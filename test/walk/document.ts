import type { Check } from './check.ts'
import type { Row } from './context.ts'
import { isMap } from './shapes.ts'
import { components, operations, type Operation } from './table.ts'

type Node = Record<string, unknown>
const at = (node: unknown, ...keys: string[]): unknown =>
  keys.reduce((inner: unknown, key) => (isMap(inner) ? inner[key] : undefined), node)
const map = (node: unknown): Node => (isMap(node) ? node : {})
const list = (node: unknown): unknown[] => (Array.isArray(node) ? (node as unknown[]) : [])
const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options', 'trace']

/** openapi.json and the pages around it. */
export const document: Row[] = [
  {
    operation: 'openapi.json',
    async walk({ api, check }) {
      const answer = await api('GET', '/openapi.json')
      check.holds('200 JSON', answer.status === 200 && isMap(answer.body), '200 and an object', answer)
      const root = map(answer.body)
      check.holds('OpenAPI 3.1', String(root.openapi).startsWith('3.1.'), '3.1.x', root.openapi)
      const found = Object.values(map(root.paths)).flatMap((path) =>
        METHODS.flatMap((method) => at(path, method, 'operationId') ?? []),
      )
      const known = new Set<unknown>(operations.map(({ id }) => id))
      check.equal(
        'no operationId beyond the contract',
        found.filter((id) => !known.has(id)),
        [],
      )
      check.equal('each operationId once', new Set(found).size, found.length)
      for (const operation of operations) checkOperation(check, root, operation)
      checkComponents(check, root)
      const flow = at(root, 'components', 'securitySchemes', 'OAuth2PasswordBearer')
      check.equal('the security scheme', at(flow, 'type'), 'oauth2')
      check.equal('tokenUrl', at(flow, 'flows', 'password', 'tokenUrl'), '/api/v1/login/access-token')
      const dangling = references(root).filter((ref) => at(root, ...ref.slice(2).split('/')) === undefined)
      check.equal('every $ref leads somewhere', dangling, [])
    },
  },
]

function checkOperation(
  check: Check,
  root: Node,
  { id, method, path, signedIn, body, answer, errors }: Operation,
) {
  const node = map(at(root, 'paths', `/api/v1${path}`, method.toLowerCase()))
  check.equal(`${method} ${path} is there under its id`, node.operationId, id)
  if (node.operationId !== id) return
  check.equal(`${id}: tag`, node.tags, [id.split('-')[0]])
  const security = list(node.security ?? root.security)
  check.equal(
    `${id}: security`,
    security.some((one) => isMap(one) && 'OAuth2PasswordBearer' in one),
    signedIn,
  )
  const kind = body?.startsWith('Body_') ? 'application/x-www-form-urlencoded' : 'application/json'
  check.equal(`${id}: body`, schemaName(at(node, 'requestBody', 'content', kind)), body)
  const ok = id === 'utils-test_email' ? '201' : answer === 'redirect' ? '302' : '200'
  const good = resolved(root, at(node, 'responses', ok))
  const content = at(good, 'content')
  const isNamed = answer in components
  const came =
    answer === 'redirect'
      ? at(good, 'headers', 'Location') && answer
      : isNamed
        ? schemaName(at(content, 'application/json'))
        : Object.keys(map(content)).join()
  check.equal(`${id}: answer ${ok}`, came, isNamed ? answer : answer === 'true' ? 'application/json' : answer)
  const wrong = [...errors, 503].filter((status) => {
    const name = schemaName(
      at(resolved(root, at(node, 'responses', String(status))), 'content', 'application/json'),
    )
    return name !== (status === 422 ? 'HTTPValidationError' : errorOf(id, status))
  })
  check.equal(`${id}: statuses not declared with their schema`, wrong, [])
  const names = list(node.parameters).map(
    (one) => `${String(at(resolved(root, one), 'in'))} ${String(at(resolved(root, one), 'name'))}`,
  )
  check.equal(`${id}: parameters`, names.toSorted(), parameters(id, path))
}

/** Of paths with parameters. */
const queries: Record<string, string[]> = {
  'login-go_to_provider': ['query code_challenge', 'query return_to'],
  'users-link_identity': ['query return_to'],
}

const headers: Record<string, string> = {
  'items-create_item': 'Idempotency-Key',
  'items-create_items': 'Idempotency-Key',
  'items-read_item': 'If-None-Match',
  'items-update_item': 'If-Match',
  'items-delete_item': 'If-Match',
}

/** Those that may be answered with a challenge. */
const SIGN_INS = new Set(['login-login_access_token', 'login-sign_in_with_provider'])

const errorOf = (id: string, status: number) =>
  SIGN_INS.has(id) && status === 400 ? 'SecondFactorRequired' : 'HTTPError'

function parameters(id: string, path: string) {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => `path ${name}`).toSorted()
  const inHeader = headers[id]
  const inQuery = queries[id] ?? []
  if (inPath.length > 0 || inHeader)
    return [...(inHeader ? [`header ${inHeader}`] : []), ...inPath, ...inQuery]
  if (id === 'utils-test_email') return ['query email_to']
  if (id === 'users-read_activity_me') return ['query cursor', 'query limit']
  if (id === 'audit-read_audit')
    return ['cursor', 'event', 'from', 'limit', 'q', 'to', 'user'].map((name) => `query ${name}`)
  const list = ['cursor', 'limit', 'q', 'skip', 'sort']
  const more: Record<string, string[]> = {
    'users-read_sessions_me': ['cursor', 'limit', 'skip'],
    'users-read_users': list,
    'items-read_items': list,
    'mails-read_mails': [...list, 'state'],
  }
  return (more[id] ?? []).map((name) => `query ${name}`)
}

function checkComponents(check: Check, root: Node) {
  const schemas = map(at(root, 'components', 'schemas'))
  const known = new Set(Object.keys(components))
  check.equal(
    'no schema beyond the contract',
    Object.keys(schemas).filter((name) => !known.has(name)),
    [],
  )
  for (const [name, told] of Object.entries(components)) {
    const fields = told.split(' ')
    const properties = Object.keys(map(at(schemas, name, 'properties'))).toSorted()
    check.equal(`${name}: properties`, properties, fields.map((field) => field.replace('?', '')).toSorted())
    const required = list(at(schemas, name, 'required'))
    const missing = fields.filter((field) => !field.endsWith('?') && !required.includes(field))
    check.equal(`${name}: required fields that are not marked`, missing, [])
    if (!operations.some(({ body }) => body === name)) continue
    const tooMany = required.filter((field) => fields.includes(`${String(field)}?`))
    check.equal(`${name}: optional fields that are marked as required`, tooMany, [])
  }
}

const resolved = (root: Node, node: unknown) => {
  const ref = at(node, '$ref')
  return typeof ref === 'string' ? at(root, ...ref.slice(2).split('/')) : node
}

const schemaName = (media: unknown) => {
  const ref = at(media, 'schema', '$ref')
  return typeof ref === 'string' ? ref.replace('#/components/schemas/', '') : undefined
}

const references = (node: unknown): string[] => {
  if (Array.isArray(node)) return node.flatMap(references)
  const inner = Object.values(map(node)).flatMap(references)
  return isMap(node) && typeof node.$ref === 'string' ? [node.$ref, ...inner] : inner
}
