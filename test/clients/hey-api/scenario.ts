import { ItemsService, LoginService, UsersService } from './client'
import { client } from './client/client.gen'
import type { UserCreate } from './client'
import { walk } from './walk'

let token = ''
client.setConfig({ baseUrl: process.env['BASE_URL'] ?? '', auth: () => token })

await walk(
  {
    signUp: (body) => UsersService.registerUser({ body }),
    signIn: (body) => LoginService.loginAccessToken({ body }),
    refresh: (body) => LoginService.refreshToken({ body }),
    reauthenticate: (body) => LoginService.reauthenticate({ body }),
    enroll: (body) => UsersService.enrollTotp({ body }),
    verify: (id, body) => UsersService.verifyTotp({ path: { id }, body }),
    secondFactor: (body) => LoginService.secondFactor({ body }),
    createKey: (body) => UsersService.createApiKey({ body }),
    activity: (query) => UsersService.readActivityMe({ query }),
    create: (body) => ItemsService.createItem({ body }),
    list: (query) => ItemsService.readItems({ query }),
    update: (id, body) => ItemsService.updateItem({ path: { id }, body }),
    read: (id) => ItemsService.readItem({ path: { id } }),
    remove: (id) => ItemsService.deleteItem({ path: { id } }),
  },
  (given) => (token = given),
)

/** What has a default may be left out of a body. */
export const account: UserCreate = { email: 'grace@example.com', password: 'correct horse battery' }
