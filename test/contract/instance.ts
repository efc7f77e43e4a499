import { randomUUID } from 'node:crypto'
import type { Described, Document, Json } from '../support/document.ts'
import { operationsOf } from '../support/document.ts'
import { SUPERUSERS_ONLY } from '../../src/contract/document.ts'
import { type MakeRow, requestWithRows } from '../support/samples.ts'
import { type Said, answerChecker } from './answers.ts'

export interface Instance {
  readonly baseUrl: string
  readonly token: string | undefined
  /** Nothing is created, were it for a moment. */
  readonly readOnly: boolean
}

/** An operation, the statuses that were seen of it, and what was wrong. */
export interface Finding {
  readonly described: Described
  readonly seen: number[]
  readonly faults: string[]
  /** Why it is not there, where that is as it should be. */
  absent?: string
}

interface Sent {
  readonly path?: string
  readonly token?: string | undefined
  readonly body?: unknown
}

/**
 * Asks every operation of the document what can be asked of an instance that people use: as nobody, and with what it
 * must refuse; reads as whoever the token stands for; and creates, changes and deletes a row of each resource that can.
 */
export async function checkInstance(document: Document, instance: Instance): Promise<Finding[]> {
  const wrong = answerChecker(document)
  const all = operationsOf(document)
  const findings = all.map((described): Finding => ({ described, seen: [], faults: [] }))

  async function ask(finding: Finding, sent: Sent, expected?: number): Promise<Said> {
    const { method, operation, url } = finding.described
    const said = await send(instance, method, sent.path ?? url, sent)
    const isAbsent = operation.tags.includes('private') && said.status === 404
    if (isAbsent) finding.absent = 'exists in local alone'
    else {
      finding.seen.push(said.status)
      const unexpected = expected !== undefined && said.status !== expected && said.status !== 429
      const fault =
        wrong(operation, said) ?? (unexpected ? `${said.status} instead of ${expected}` : undefined)
      if (fault) finding.faults.push(fault)
    }
    return said
  }

  for (const finding of findings) await asNobody(finding, ask)
  const { token } = instance
  if (token === undefined) return findings
  for (const finding of findings) await asSomebody(finding, token, ask)
  if (!instance.readOnly)
    for (const finding of findings) await lifeOf(finding, findings, document, instance, ask)
  return findings
}

type Ask = (finding: Finding, sent: Sent, expected?: number) => Promise<Said>

/** No object, which every body of the contract is. */
const NO_BODY: Json[] = []
/** Its path where every parameter is one that fits nothing. */
const senseless = ({ path }: Described) => path.replaceAll(/\{.+?\}/g, '-')

async function asNobody(finding: Finding, ask: Ask): Promise<void> {
  const { operation, method, path } = finding.described
  if (operation.security.length > 0) await ask(finding, {}, 401)
  else if (operation.requestBody) await ask(finding, { body: NO_BODY })
  else if (path.includes('{')) await ask(finding, { path: senseless(finding.described) }, 422)
  else if (method === 'GET') await ask(finding, {}, 200)
}

/** What a token lets one do, as far as nothing changes by it. */
async function asSomebody(finding: Finding, token: string, ask: Ask): Promise<void> {
  const { operation, method, path, url } = finding.described
  if (operation.security.length === 0) return
  const needsQuery = operation.parameters?.some((one) => one.in === 'query' && one.required)
  if (operation.requestBody) await ask(finding, { token, body: NO_BODY })
  else if (needsQuery) await ask(finding, { token })
  else if (path.includes('{')) await ask(finding, { token, path: senseless(finding.described) })
  else if (method === 'GET') await ask(finding, { token })
  const harmless = method === 'GET' || method === 'DELETE'
  if (harmless && path.includes('{') && !path.includes('{email}'))
    await ask(finding, { token, path: url.replaceAll(/\{.+?\}/g, randomUUID()) })
}

/** Creates a row, reads, changes and deletes it: of resources that are everybody's, and have a way to delete. */
async function lifeOf(
  making: Finding,
  findings: Finding[],
  document: Document,
  instance: Instance,
  ask: Ask,
) {
  const { token } = instance
  const { method, path, operation } = making.described
  const ofRow = findings.filter(({ described }) => described.path.startsWith(`${path}{`))
  const canDelete = ofRow.some(({ described }) => described.method === 'DELETE')
  if (method !== 'POST' || !canDelete || operation.description?.startsWith(SUPERUSERS_ONLY)) return
  /** Rows that others refer to, the last one first to go. */
  const rows: string[] = []
  const makeRow: MakeRow = async (maker, { body }) => {
    const said = await send(instance, 'POST', maker.path, { token, body })
    const { id } = JSON.parse(said.text) as { id: string }
    rows.unshift(maker.path + id)
    return id
  }
  const bodyOf = async (one: Described['operation']) => (await requestWithRows(document, one, makeRow)).body

  const made = await ask(making, { token, body: await bodyOf(operation) }, 200)
  if (made.status === 200) {
    const { id } = JSON.parse(made.text) as { id: string }
    for (const next of ['GET', 'PUT', 'PATCH', 'DELETE']) {
      for (const finding of ofRow.filter(({ described }) => described.method === next)) {
        const body = await bodyOf(finding.described.operation)
        await ask(finding, { token, path: path + id, ...(body && { body }) }, 200)
      }
    }
  }
  for (const row of rows) await send(instance, 'DELETE', row, { token })
}

async function send(
  { baseUrl }: Instance,
  method: string,
  path: string,
  { token, body }: Sent,
): Promise<Said> {
  const answer = await fetch(new URL(path, baseUrl), {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    redirect: 'manual',
  })
  return { status: answer.status, headers: answer.headers, text: await answer.text() }
}
