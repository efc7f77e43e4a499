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

/** Whether openapi.json names this error for the operation that was called. Where none was called, it need not. */
export function isNamed({ call, status, body }: Answer): boolean {
  if (status < 400) return true
  const operation = operationOf(call)
  const code = isMap(body) ? String(body.code) : ''
  // For any path, before it is looked for, and in local alone.
  if (!operation || code === 'unknown_host') return true
  return code in (operation.responses[status]?.content?.['application/json']?.examples ?? {})
}

function operationOf(call: string) {
  const [method, path = ''] = call.split(/[ ?]/)
  if (!isReadable(path)) return undefined
  const route = routes.find(({ pattern }) => pattern.test(path))
  return route?.operations.find((one) => one.method === method)?.operation
}

/** Percent signs that stand for no character lead to no operation. */
function isReadable(path: string): boolean {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}
