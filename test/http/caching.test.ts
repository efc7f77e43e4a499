import { test } from 'tap'
import { documentOf, operationsOf } from '../support/document.ts'
import { requestOf } from '../support/samples.ts'
import { type Answer, startService } from '../support/service.ts'

const isKept = ({ headers }: Answer) => headers['cache-control'] !== 'no-store'

void test('every API answer, mailed-link page and 404 is Cache-Control: no-store', async (t) => {
  const { app, admin, call, person } = await startService(t)
  const document = documentOf(app)
  const kept: string[] = []
  const user = await person()
  for (const described of operationsOf(document))
    for (const as of [undefined, user, admin]) {
      const { method, url, operation } = described
      const answer = await call(method, url, { ...requestOf(document, operation), as })
      if (isKept(answer)) kept.push(`${operation.operationId}: ${answer.status}`)
    }
  for (const path of ['reset-password?token=x', 'verify-email?token=x', 'inbox', 'nothing/secret']) {
    const { statusCode, headers } = await app.inject(`/${path}`)
    if (headers['cache-control'] !== 'no-store') kept.push(`${path}: ${statusCode}`)
  }
  t.same(kept, [])
})

void test('If-None-Match with the current ETag is 304, with Cache-Control: no-store', async (t) => {
  const { call, person } = await startService(t)
  const owner = await person()
  const { body: paper } = await call('POST', '/papers/', { as: owner, body: { title: 'Engine' } })
  const first = await call('GET', `/papers/${paper.id}`, { as: owner })
  const etag = String(first.headers.etag)
  const again = await call('GET', `/papers/${paper.id}`, { as: owner, headers: { 'if-none-match': etag } })
  t.match(first, { status: 200, headers: { 'cache-control': 'no-store' } })
  t.match(again, { status: 304, headers: { 'cache-control': 'no-store', etag } })
})

void test('a static file of /docs is Cache-Control: public', async (t) => {
  const { app } = await startService(t)
  const { headers, statusCode } = await app.inject('/docs/static/swagger-ui.css')
  t.equal(statusCode, 200)
  t.match(headers, { etag: String, 'cache-control': /public/ })
})
