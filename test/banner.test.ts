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
    'http://localhost:5173, http://localhost:3000 may call it',
  ])
    t.match(first, told)
  t.notMatch(first, 'Profile')

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

void test('the banner names the profile with what it sets, the app that is served, and every origin', async (t) => {
  const told = banner(
    readConfig({
      ...local,
      COMPATIBILITY: 'fastapi-template',
      EMAIL_VERIFICATION: 'optional',
      FRONTEND_DIR: t.testdir({ 'index.html': '' }),
      BACKEND_CORS_ORIGINS: 'http://localhost:4200',
    }),
  )
  t.match(told, /^ {2}Profile +fastapi-template: sets ACCESS_TOKEN_EXPIRE_MINUTES=11520$/m)
  t.match(told, /^ {2}App +http:\/\/localhost:8000\/ \(FRONTEND_DIR\)$/m)
  t.match(told, /^ {2}Frontends +http:\/\/localhost:4200, http:\/\/localhost:5173, .* may call it/m)
})
