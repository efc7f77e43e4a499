import { test } from 'tap'
import { banner } from '../src/operations/banner.ts'
import { readConfig } from '../src/config/config.ts'
import { local, smtp } from './support/environments.ts'

void test('the banner shows URLs, first sign-in, database and mail, but no configured secret', async (t) => {
  const first = banner(readConfig(local))
  for (const told of [
    'http://localhost:8000/docs',
    'admin@example.com / changethis',
    'embedded, in data/',
    'http://localhost:8000/inbox',
  ])
    t.match(first, told)

  const own = banner(
    readConfig({
      ...local,
      ...smtp,
      DATABASE_URL: 'postgres://user:hidden@127.0.0.1/x',
      FIRST_SUPERUSER_PASSWORD: 'one of my own',
    }),
  )
  for (const told of ['your FIRST_SUPERUSER_PASSWORD', 'PostgreSQL', 'sent by SMTP']) t.match(own, told)
  for (const hidden of ['one of my own', 'hidden']) t.notMatch(own, hidden)
})
