import { readFile } from 'node:fs/promises'
import { AjvCompiler } from '@fastify/ajv-compiler'
import { test } from 'tap'
import { type Document, documentOf, lineOf, operationsOf } from './support/document.ts'
import { filledIn } from './support/filled-in.ts'
import { noDatabase, startWithoutData } from './support/no-database.ts'

/** The operations as lineOf writes them; those of items are in test/resources/items.test.ts. */
const CONTRACT = `
login-login_access_token POST /login/access-token P
login-test_token POST /login/test-token T
login-recover_password POST /password-recovery/{email} P
login-recover_password_html_content POST /password-recovery-html-content/{email} T
login-reset_password POST /reset-password/ P
users-read_users GET /users/ T
users-create_user POST /users/ T
users-register_user POST /users/signup P
users-read_user_me GET /users/me T
users-update_user_me PATCH /users/me T
users-update_password_me PATCH /users/me/password T
users-delete_user_me DELETE /users/me T
users-read_sessions_me GET /users/me/sessions T
users-delete_session_me DELETE /users/me/sessions/{session_id} T
users-delete_sessions_me DELETE /users/me/sessions T
users-read_user_by_id GET /users/{user_id} T
users-update_user PATCH /users/{user_id} T
users-delete_user DELETE /users/{user_id} T
mails-read_mails GET /mails/ T
mails-read_mail GET /mails/{id} T
mails-retry_mail POST /mails/{id}/retry T
login-refresh_token POST /login/refresh-token P
login-logout POST /login/logout T
login-verify_email POST /verify-email/ P
login-resend_verification POST /verify-email/resend P
utils-test_email POST /utils/test-email/ T
utils-health_check GET /utils/health-check/ P
private-create_user POST /private/users/ P`
  .trim()
  .split('\n')

const COMPONENTS = `
UserPublic UserCreate UserRegister UserUpdate UserUpdateMe UsersPublic UpdatePassword
MailPublic MailsPublic Message Token NewPassword
RefreshToken VerifyEmail ResendVerification SessionPublic SessionsPublic
PrivateUserCreate Body_login-login_access_token HTTPError HTTPValidationError ValidationError`
  .trim()
  .split(/\s/)

type Json = Record<string, unknown>
const REF = '#/components/schemas/'

/** Every object of a document, however deep. */
function objectsIn(value: unknown): Json[] {
  if (typeof value !== 'object' || value === null) return []
  const inner = Object.values(value).flatMap(objectsIn)
  return Array.isArray(value) ? inner : [value as Json, ...inner]
}
const referencesIn = (value: unknown) =>
  objectsIn(value).flatMap(({ $ref }) =>
    typeof $ref === 'string' ? [$ref.replace(/^#\/components\/\w+\//, '')] : [],
  )

/** Whether a value fits a schema of the document. */
function checker({ components }: Document) {
  const named = (schema: unknown) => JSON.parse(JSON.stringify(schema).replaceAll(REF, '')) as Json
  const schemas = Object.entries(components.schemas).map(([name, schema]) => [
    name,
    { ...named(schema), $id: name },
  ])
  const compile = (AjvCompiler() as unknown as Compiler)(Object.fromEntries(schemas), {
    customOptions: { strict: false },
  })
  return (schema: Json, value: unknown) => compile({ schema: named(schema) })(value)
}
type Compiler = (schemas: Json, options: object) => (route: { schema: Json }) => (value: unknown) => boolean

const unused = ({ paths, components }: Document) => {
  const used = new Set([...referencesIn(paths), ...referencesIn(components)])
  return Object.keys(components.schemas).filter((name) => !used.has(name))
}

/** Those that may go on with a second factor. */
const SIGN_INS = new Set(['login-login_access_token', 'login-sign_in_with_provider'])

void test('openapi.json', async (t) => {
  const app = await startWithoutData(t, {}, noDatabase(), { resources: [] })
  const document = documentOf(app)
  const operations = operationsOf(document)

  await t.test('the committed openapi.json matches the routes', async (t) => {
    const committed = JSON.parse(
      await readFile(new URL('../openapi.json', import.meta.url), 'utf8'),
    ) as unknown
    const message = 'openapi.json is not what the routes say: run `npm run openapi` and commit it'
    t.strictSame(JSON.parse(JSON.stringify(document)), committed, message)
  })

  await t.test('operation ids, paths and schemas stay as generated clients use them', async (t) => {
    const told = operations.map(lineOf)
    // A product may have resources of its own.
    t.same(new Set(told.filter((line) => CONTRACT.includes(line))), new Set(CONTRACT))
    const named = Object.keys(document.components.schemas)
    t.same(new Set(named.filter((name) => COMPONENTS.includes(name))), new Set(COMPONENTS))
    t.same(unused(document), [], 'no component is unused')
    const { schemas, responses } = document.components
    for (const name of referencesIn(document))
      t.hasProp({ ...schemas, ...responses }, name, 'references lead somewhere')
  })

  await t.test('tokens are got and refreshed where the security scheme says', (t) => {
    const { flows } = document.components.securitySchemes.OAuth2PasswordBearer as { flows: Json }
    const { tokenUrl, refreshUrl } = flows.password as Record<string, string>
    const idAt = (path = '') => document.paths[path]?.post?.operationId
    t.same([idAt(tokenUrl), idAt(refreshUrl)], ['login-login_access_token', 'login-refresh_token'])
    t.end()
  })

  await t.test('each operation documents its purpose, statuses, headers and schemas', async (t) => {
    for (const { operation } of operations) {
      const {
        operationId: id,
        summary,
        description,
        tags,
        security,
        responses,
        requestBody,
        parameters,
      } = operation
      t.ok(summary && description, `${id} has a summary and a description`)
      t.same(tags, [id.split('-')[0]])
      t.ok(Array.isArray(security))
      for (const status of ['429', '500', '503']) t.hasProp(responses, status, `${id} may answer ${status}`)
      t.equal('422' in responses, Boolean(requestBody ?? parameters), `${id}: 422 where there is input`)
      if (id !== 'login-refresh_token') t.equal('401' in responses, security.length > 0)
      for (const status of ['400', '413', '415'])
        if (requestBody) t.hasProp(responses, status, `${id} ${status}`)
      for (const [status, { description, headers = {}, content = {} }] of Object.entries(responses)) {
        const [type, media] = Object.entries(content)[0] ?? []
        t.ok(description, `${id} ${status} is described`)
        const isName = (name: string) => t.strictSame(media?.schema, { $ref: REF + name }, `${id} ${status}`)
        if (status === '304') t.same([content, Object.keys(headers)], [{}, ['ETag']], `${id} has no body`)
        else if (status === '302') t.same([content, 'Location' in headers], [{}, true], `${id} leads on`)
        else if (status === '422') isName('HTTPValidationError')
        else if (status === '400' && SIGN_INS.has(id)) isName('SecondFactorRequired')
        else if (Number(status) >= 400) isName('HTTPError')
        else
          t.ok(
            type === 'text/html' || media?.schema.$ref || media?.schema.type === 'boolean',
            `${id} has a name`,
          )
        if (status === '429' || status === '503') t.hasProp(headers, 'Retry-After')
        if (status === '401') t.hasProp(headers, 'WWW-Authenticate')
      }
      for (const media of Object.values(requestBody?.content ?? {}))
        t.match(media.schema, { $ref: /./ }, `${id} takes something with a name`)
    }
  })

  await t.test('each documented error has an example and a description with its code', (t) => {
    for (const { operation } of operations)
      for (const [status, { description, content }] of Object.entries(operation.responses)) {
        const { schema, examples = {} } = content?.['application/json'] ?? {}
        if (schema?.$ref !== `${REF}HTTPError`) continue
        const id = `${operation.operationId} ${status}`
        t.not(Object.keys(examples).length, 0, id)
        for (const [code, { value }] of Object.entries(examples)) {
          t.match(value, { code, detail: String }, id)
          t.match(description, `\`${code}\``, id)
        }
      }
    t.end()
  })

  await t.test('examples in the document are valid against their schemas', async (t) => {
    const fits = checker(document)
    let count = 0
    const check = (schema: Json, value: unknown) => {
      count++
      t.ok(fits(schema, value), `${JSON.stringify(value)} fits ${JSON.stringify(schema).slice(0, 80)}`)
    }
    for (const node of objectsIn(document)) {
      const { examples, schema, example } = node
      if (Array.isArray(examples)) for (const value of examples) check(node, value)
      else if (examples)
        for (const { value } of Object.values(examples as Record<string, { value: unknown }>))
          check(schema as Json, value)
      if (example !== undefined) check(schema as Json, example)
    }
    t.ok(count > 80, 'there are examples')
    for (const { operation } of operations)
      for (const { schema } of Object.values(operation.requestBody?.content ?? {}))
        check(schema, filledIn(document, operation))
  })
})

void test('outside local, the document has no private operations and no unused schemas', async (t) => {
  const app = await startWithoutData(t, {
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    FIRST_SUPERUSER_PASSWORD: 'a password of its own',
  })
  const document = documentOf(app)
  t.same(
    operationsOf(document).filter(({ path }) => path.includes('private')),
    [],
  )
  t.notMatch(JSON.stringify(app.swagger().tags), 'private')
  t.same(unused(document), [], 'no component is unused')
})
