import { test } from 'tap'
import { isAnswer, isRefused } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { address, startService } from '../support/service.ts'

const PATH = '/private/users/'
const account = () => ({ email: address(), password: 'correct horse battery', full_name: 'Ada' })

void test('/private/users/ in local', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { call, signIn } = service
  const create = (body: unknown) => call('POST', PATH, { body })

  await t.test('in local, POST /private/users/ creates users without a token, verified too', async (t) => {
    for (const is_verified of [undefined, false, true]) {
      const { password, ...shown } = account()
      const strange = { is_superuser: true, is_active: false }
      const answer = await create({ ...shown, password, is_verified, ...strange })
      const { id, created_at } = answer.body
      const flags = { is_active: true, is_superuser: false, is_verified: is_verified ?? false }
      isAnswer(t, answer, 200, { id, ...shown, ...flags, created_at })
      t.equal((await signIn(shown.email, password)).status, 200)
    }
  })

  await t.test('POST /private/users/ refuses a taken address and invalid fields', async (t) => {
    const ada = account()
    await create(ada)
    const again = await create({ ...ada, email: ada.email.toUpperCase() })
    isAnswer(t, again, 400, 'The user with this email already exists in the system')
    isRefused(t, await create({}), ['body.email', 'body.password', 'body.full_name'])
    const places = ['body.email', 'body.password', 'body.full_name', 'body.is_verified']
    isRefused(t, await create({ email: '', password: '', full_name: 5, is_verified: null }), places)
    isRefused(t, await call('POST', PATH), ['body'])
    t.match((await create({ ...account(), full_name: null })).body, { full_name: null })
  })
})

void test('fault 20: outside local, /private/users/ is 404', async (t) => {
  const { call } = await startService(t, {
    ENVIRONMENT: 'staging',
    DATABASE_URL: 'postgres://unused',
    FIRST_SUPERUSER: 'root@example.com',
    FIRST_SUPERUSER_PASSWORD: 'only for tests',
  })
  for (const method of ['POST', 'GET'] as const) {
    const body = method === 'POST' ? account() : undefined
    isAnswer(t, await call(method, PATH, { body }), 404, 'Not Found', 'a stranger makes no users')
  }
})
