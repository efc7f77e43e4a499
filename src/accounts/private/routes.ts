import type { App } from '../../contract/contract.ts'
import { EmailTakenAtSignup } from '../../contract/errors.ts'
import { createUser } from './schemas.ts'

export function privateRoutes(app: App) {
  const { accounts, passwords } = app.auth

  const create = { schema: createUser, config: { limit: false } } as const
  app.post('/private/users/', create, async (request, reply) => {
    const { password, ...account } = request.body
    const hashed_password = await passwords.hash(password, reply.turn())
    const user = await accounts.create({ ...account, hashed_password })
    if (!user) throw new EmailTakenAtSignup()
    return user
  })
}
