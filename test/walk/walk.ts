/**
 * Walks the contract's table against a running service, from outside, and says which rows hold.
 * Limits of tries are not walked: run the service with RATE_LIMIT_ENABLED=false.
 *
 *   npm run test:walk                             against a service of its own, which goes again
 *   npm run test:walk -- --base-url http://…      [--email admin@example.com] [--password changethis]
 *
 * It writes, so it walks nothing that it was not told to.
 */
import { withBuilt } from '../support/built.ts'
import { account } from './account.ts'
import { administration } from './administration.ts'
import { Cast, field, signIn } from './cast.ts'
import { Check } from './check.ts'
import { Client, Unreachable, type Answer } from './client.ts'
import { bodies } from './bodies.ts'
import { isNamed } from './codes.ts'
import type { Row } from './context.ts'
import { document } from './document.ts'
import { item } from './item.ts'
import { items } from './items.ts'
import { login } from './login.ts'
import { mails } from './mails.ts'
import { privateUsers } from './private.ts'
import { protocol } from './protocol.ts'
import { recovery } from './recovery.ts'
import { apiKeys } from './api-keys.ts'
import { accountExports } from './export.ts'
import { identities } from './identities.ts'
import { factors } from './factors.ts'
import { passkeys } from './passkeys.ts'
import { sessions, verification } from './sessions.ts'
import { isMap } from './shapes.ts'
import { signup } from './signup.ts'
import { lastSuperuser } from './superuser.ts'
import { users } from './users.ts'
import { type WalkOptions, walkOptions } from './options.ts'
import { utils } from './utils.ts'

const tags = {
  login: [login, sessions, recovery, verification],
  factors: [factors],
  passkeys: [passkeys],
  'API keys': [apiKeys],
  identities: [identities],
  export: [accountExports],
  users: [signup, account, users, administration],
  items: [items, item],
  mails: [mails],
  utils: [utils],
  private: [privateUsers],
  'all routes': [protocol, bodies, document, lastSuperuser],
}
const rows = Object.values(tags).flat(2)

/** What holds on each answer, whatever it was asked for. */
function checkAnswers(check: Check, answers: Answer[]) {
  const but = (fits: (answer: Answer) => boolean) => answers.find((answer) => !fits(answer))
  const each = (what: string, expected: string, fits: (answer: Answer) => boolean) =>
    check.holds(what, but(fits) === undefined, expected, but(fits))
  each('X-Request-Id on all', 'X-Request-Id', ({ headers }) => Boolean(headers['x-request-id']))
  each(
    'no hash of a password in any',
    'no hash',
    ({ text }) => !/\$argon2|\$2[aby]\$|hashed_password/.test(text),
  )
  each(
    'every error is a detail, a code and nothing more',
    '{"detail": …, "code": …}',
    ({ call, status, body }) =>
      status < 400 ||
      call.startsWith('HEAD') ||
      (isMap(body) && Object.keys(body).join() === 'detail,code') ||
      (isMap(body) && body.code === 'second_factor_required'),
  )
  each('every error is one that openapi.json names', 'its code in openapi.json', isNamed)
  each(
    'WWW-Authenticate on 401 alone',
    'a challenge exactly on 401',
    ({ headers, status }) => (status === 401) === (headers['www-authenticate'] !== undefined),
  )
  if (but(({ status }) => status !== 429))
    each('no 429', 'a service run with RATE_LIMIT_ENABLED=false', ({ status }) => status !== 429)
}

async function walkRow(row: Row, client: Client, cast: Cast): Promise<Check> {
  const check = new Check()
  client.log = []
  try {
    await row.walk({ check, client, cast, api: client.api, send: client.send })
  } catch (error) {
    if (error instanceof Unreachable) throw error
    check.holds(
      'the row can be walked to its end',
      false,
      'no surprise',
      error instanceof Error ? error.message : error,
    )
  }
  checkAnswers(check, client.log)
  return check
}

function tell({ operation }: Row, { count, failures, note }: Check) {
  const failed = failures.length > 0 ? `, ${failures.length} failed` : ''
  console.log(`${failed ? '✗' : '✓'} ${operation}  ${count} checks${failed}${note && `  (${note})`}`)
  for (const { what, expected, came } of failures)
    console.log(`    ${what}\n      expected  ${expected}\n      came      ${came}`)
}

async function walk(client: Client, email: string, password: string) {
  const token = await signIn(client, email, password)
  const id = field(await client.api('GET', '/users/me', { as: { token } }), 'id')
  const cast = new Cast(client, { id, email, password, token })
  const total = { passed: 0, failed: 0 }
  try {
    for (const row of rows) {
      const check = await walkRow(row, client, cast)
      tell(row, check)
      total.failed += check.failures.length
      total.passed += check.count - check.failures.length
    }
  } finally {
    const left = await cast.tidy().catch(() => [...client.made])
    if (left.length > 0) console.log(`left behind: ${left.slice(0, 3).join(', ')}, ${left.length} in all`)
    console.log(`${total.passed} passed, ${total.failed} failed`)
  }
  return total.failed === 0
}

async function walkAt(base: URL, { email, password }: WalkOptions): Promise<void> {
  const client = new Client(base)
  const holds = await walk(client, email, password).finally(() => client.close())
  process.exitCode = holds ? 0 : 1
}

try {
  const options = walkOptions(process.argv.slice(2))
  if (options.base) await walkAt(options.base, options)
  else await withBuilt(1, ([service]) => walkAt(new URL(service!.url), options))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
