import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { withBuilt } from '../support/built.ts'
import type { Document } from '../support/document.ts'
import { finish } from '../support/suite.ts'
import { type Finding, type Instance, checkInstance } from './instance.ts'

/**
 * `npm run test:contract -- --base-url https://…`: does a running instance answer as openapi.json says? With an
 * account it reads, and creates and deletes a row, as that account. Without a --base-url it builds and tries its own.
 */

const { values } = parseArgs({
  options: {
    'base-url': { type: 'string' },
    email: { type: 'string', default: process.env.CONTRACT_EMAIL ?? '' },
    password: { type: 'string', default: process.env.CONTRACT_PASSWORD ?? '' },
    'read-only': { type: 'boolean', default: false },
    document: { type: 'string', default: 'openapi.json' },
  },
})
const document = JSON.parse(readFileSync(values.document, 'utf8')) as Document

/** @throws Error where the account is not let in */
async function signIn(baseUrl: string, username: string, password: string): Promise<string> {
  const body = new URLSearchParams({ username, password })
  const answer = await fetch(new URL('/api/v1/login/access-token', baseUrl), { method: 'POST', body })
  if (!answer.ok) throw new Error(`${username} can't sign in: ${answer.status} ${await answer.text()}`)
  return ((await answer.json()) as { access_token: string }).access_token
}

function tell({ described, seen, faults, absent }: Finding) {
  const { operation, method, path } = described
  const told = seen.length > 0 ? seen.join(' ') : (absent ?? 'not asked: it would change something')
  console.log(`${faults.length > 0 ? '✗' : '✓'} ${operation.operationId}  ${method} ${path}  ${told}`)
  for (const fault of faults) console.log(`    ${fault}`)
}

async function check(baseUrl: string, email: string, password: string) {
  const token = email === '' ? undefined : await signIn(baseUrl, email, password)
  const instance: Instance = { baseUrl, token, readOnly: values['read-only'] }
  const findings = await checkInstance(document, instance)
  findings.forEach(tell)
  if (token !== undefined) await endSession(baseUrl, token)
  else console.log('As nobody alone: with --email and --password more can be seen')
  const failed = findings.reduce((sum, { faults }) => sum + faults.length, 0)
  const answers = findings.reduce((sum, { seen }) => sum + seen.length, 0)
  console.log(`${findings.length} operations, ${answers} answers`)
  finish({ passed: answers - failed, failed })
}

const endSession = (baseUrl: string, token: string) =>
  fetch(new URL('/api/v1/login/logout', baseUrl), {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  })

const { 'base-url': baseUrl, email, password } = values
try {
  if (baseUrl !== undefined) await check(baseUrl, email, password)
  else
    await withBuilt(1, async ([service]) =>
      check(service?.url ?? '', email || 'admin@example.com', password || 'changethis'),
    )
} catch (error) {
  console.error(error instanceof Error ? [error.message, error.cause].filter(Boolean).join(': ') : error)
  process.exitCode = 1
}
