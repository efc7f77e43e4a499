import type { FastifyRequest } from 'fastify'
import { type SignedIn, type SignedInApp, operation } from '../../src/contract/contract.ts'
import type { Person, Service } from './service.ts'

type Work = (request: FastifyRequest & SignedIn) => Promise<unknown>

/** A route that does what a test says, to try what handlers written by hand can do. */
export function openDoor() {
  const works = new Map<string, { work: Work; result?: unknown }>()
  const routes = (app: SignedInApp) => {
    const schema = operation({
      operationId: 'tests-pass_door',
      summary: 'Only for tests',
      description: 'Only for tests.',
      response: {},
    })
    app.post('/door/', { schema }, async (request) => {
      const entry = works.get(String(request.headers['x-work']))!
      entry.result = await entry.work(request)
      return { done: true }
    })
  }

  let made = 0
  /** Does the work in a request of that person. @returns its result, beside the answer */
  async function pass<T>(
    { call }: Service,
    as: Person,
    work: (request: FastifyRequest & SignedIn) => Promise<T>,
  ) {
    const name = String((made += 1))
    const entry: { work: Work; result?: unknown } = { work }
    works.set(name, entry)
    const answer = await call('POST', '/door/', { as, headers: { 'x-work': name } })
    return { answer, result: entry.result as T }
  }
  return { routes, pass }
}
