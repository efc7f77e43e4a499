import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { randomUUID } from 'node:crypto'
import { test } from 'tap'
import { checkInstance } from './contract/instance.ts'
import type { Document, Json } from './support/document.ts'
import { requestWithRows, sampleOf } from './support/samples.ts'

const id = { type: 'string', format: 'uuid' }
const title = { type: 'string', examples: ['A title'] }

/** A document with resources of which each refers to the one before. */
function documentOf(fields: Record<string, Record<string, Json>>): Document {
  const answer = { 200: { description: '', content: {} } }
  const of = (name: string) => ({
    operationId: name,
    summary: '',
    tags: [],
    security: [{}],
    responses: answer,
  })
  const paths = Object.entries(fields).flatMap(([name, properties]) => [
    [
      `/api/v1/${name}/`,
      {
        post: {
          ...of(`${name}-create`),
          requestBody: { required: true, content: { 'application/json': { schema: { properties } } } },
        },
      },
    ],
    [`/api/v1/${name}/{id}`, { get: of(`${name}-read`), delete: of(`${name}-delete`) }],
  ])
  return { paths: Object.fromEntries(paths) as never, components: { schemas: {}, securitySchemes: {} } }
}

const document = documentOf({
  tasks: { title, project_id: id, parent_id: { ...id, type: ['string', 'null'] }, task_id: id },
  projects: { title, company_id: id },
  companies: { title },
})

void test('the rows that a sample request refers to are created before it', async (t) => {
  const made: string[] = []
  const { body } = await requestWithRows(
    document,
    document.paths['/api/v1/tasks/']!.post!,
    async ({ path }, sample) => {
      made.push(`${path} ${JSON.stringify(sample.body)}`)
      return `id-${made.length}`
    },
  )
  t.strictSame(made.slice(0, 2), [
    '/api/v1/companies/ {"title":"A title"}',
    '/api/v1/projects/ {"title":"A title","company_id":"id-1"}',
  ])
  t.match(body, { title: 'A title', project_id: 'id-2', parent_id: null })
})

void test('project_id, projectId and from_project_id are recognized as references to a project', async (t) => {
  const fields = ['project_id', 'projectId', 'from_project_id', 'other_thing_id', 'thing_id', 'grid']
  const others = documentOf({
    tasks: Object.fromEntries(fields.map((field) => [field, id])),
    projects: { title },
    other_things: { title },
    things: { title },
  })
  const operation = others.paths['/api/v1/tasks/']!.post!
  const { body } = await requestWithRows(others, operation, ({ path }) => Promise.resolve(path))
  t.match(body, {
    project_id: '/api/v1/projects/',
    projectId: '/api/v1/projects/',
    from_project_id: '/api/v1/projects/',
    other_thing_id: '/api/v1/other_things/',
    thing_id: '/api/v1/things/',
    grid: /^[\da-f-]{36}$/,
  })
})

void test('a sample fits its schema, without examples too', (t) => {
  const schemas: [schema: Json, sample: unknown][] = [
    [{ type: 'string', format: 'date' }, '2026-01-02'],
    [{ type: 'string', format: 'date-time' }, '2026-01-02T03:04:05Z'],
    [{ type: ['string', 'null'], format: 'date' }, null],
    [{ type: 'string', enum: ['sad', 'ok'] }, 'sad'],
    [{ anyOf: [{ const: 'sad' }, { const: 'ok' }] }, 'sad'],
    [{ type: 'number' }, 1],
    [{ type: 'number', minimum: 2.5 }, 2.5],
  ]
  for (const [schema, sample] of schemas) t.equal(sampleOf(document, schema), sample, JSON.stringify(schema))
  t.end()
})

void test('test:contract creates the rows that a request refers to, and deletes them again', async (t) => {
  const rows = new Map<string, string>()
  const server = createServer((request, response) => {
    void (async () => {
      const [, , , name = '', row] = request.url?.split('/') ?? []
      const answer = (status: number, body: object) =>
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      if (request.headers.authorization === undefined) return answer(401, {})
      if (request.method === 'DELETE') return answer(rows.delete(row ?? '') ? 200 : 404, {})
      if (request.method !== 'POST') return answer(rows.has(row ?? '') ? 200 : 404, {})
      const body = (await json(request)) as Record<string, string>
      const needs = { tasks: 'project_id', projects: 'company_id' }[name]
      if (Array.isArray(body) || (needs !== undefined && !rows.has(body[needs] ?? ''))) {
        return answer(422, {})
      }
      const made = randomUUID()
      rows.set(made, name)
      return answer(200, { id: made })
    })()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const instance = { baseUrl: `http://127.0.0.1:${port}`, token: 'a-token', readOnly: false }
  const findings = await checkInstance(document, instance)
  const created = findings.filter(({ described }) => described.method === 'POST')
  for (const { described, seen } of created) t.ok(seen.includes(200), described.path)
  t.strictSame([...rows.values()], [], 'nothing is left')
})
