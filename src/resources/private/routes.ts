import type { App } from '../../contract.ts'
import { EmailTakenAtSignup } from '../../errors.ts'
import { createUser } from './schemas.ts'

export function privateRoutes(app: App) {
  const { accounts, passwords } = app.auth

  app.post('/private/users/', { schema: createUser }, async (request) => {
    const { password, ...account } = request.body
    const user = await accounts.create({ ...account, hashed_password: await passwords.hash(password) })
    if (!user) throw new EmailTakenAtSignup()
    return user
  })
}
