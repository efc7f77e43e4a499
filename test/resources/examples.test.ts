import { test } from 'tap'
import { documentOf } from '../support/document.ts'
import { filledIn } from '../support/filled-in.ts'
import { startService } from '../support/service.ts'

void test('on a new installation, users can be created with the examples of Swagger UI', async (t) => {
  const { app, call, admin } = await startService(t, {}, { resources: [] })
  const document = documentOf(app)
  // All on one installation: their addresses differ.
  for (const path of ['/api/v1/users/signup', '/api/v1/users/', '/api/v1/private/users/']) {
    const { status, text } = await call('POST', path, {
      as: admin,
      body: filledIn(document, document.paths[path]!.post!),
    })
    t.equal(status, 200, `${path}: ${text}`)
  }
})

void test('on a new installation, signing in works with the example of Swagger UI', async (t) => {
  const { app, call } = await startService(t, {}, { resources: [] })
  const document = documentOf(app)
  const path = '/api/v1/login/access-token'
  const form = filledIn(document, document.paths[path]!.post!) as Record<string, string>
  const { status, text } = await call('POST', path, { form })
  t.equal(status, 200, text)
})

void test('changing my account with the example of Swagger UI keeps my address', async (t) => {
  const { app, call, admin } = await startService(t, {}, { resources: [] })
  const document = documentOf(app)
  const path = '/api/v1/users/me'
  const body = filledIn(document, document.paths[path]!.patch!)
  const answer = await call('PATCH', path, { as: admin, body })
  t.equal(answer.status, 200)
  t.equal(answer.body.email, admin.email)
})
