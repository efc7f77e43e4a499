import { readFileSync } from 'node:fs'
import { type Document, operationsOf } from '../support/document.ts'
import type { Answer } from './client.ts'
import { isMap } from './shapes.ts'

const operations = operationsOf(JSON.parse(readFileSync('openapi.json', 'utf8')) as Document)
const routes = [...new Set(operations.map(({ path }) => path))]
  // A fixed path goes before a pattern that it fits.
  .toSorted((one, other) => Number(one.includes('{')) - Number(other.includes('{')))
  .map((path) => ({
    pattern: new RegExp(`^${path.replace(/\/$/, '').replaceAll(/\{\w+\}/g, '[^/]+')}/?$`),
    operations: operations.filter((one) => one.path === path),
  }))

/** Whether openapi.json names this error for the operation that was called. It has none for what no operation is. */
export function isNamed({ call, status, body }: Answer): boolean {
  if (status < 400) return true
  const [method, path] = call.split(/[ ?]/)
  const route = routes.find(({ pattern }) => pattern.test(path ?? ''))
  const operation = route?.operations.find((one) => one.method === method)?.operation
  if (!operation) return true
  const { examples } = operation.responses[status]?.content?.['application/json'] ?? {}
  const code = isMap(body) ? String(body.code) : ''
  return examples !== undefined && code in examples
}
