import type { App } from '../../contract/contract.ts'
import { createPrivately } from '../sign-up.ts'
import { createUser } from './schemas.ts'

export function privateRoutes(app: App) {
  const create = createPrivately(app)
  const options = { schema: createUser, config: { limit: false } } as const
  app.post('/private/users/', options, (request, reply) => create(request.body, reply))
}
