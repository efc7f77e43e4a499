import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { limits } from '../../src/config/limits.ts'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { needsPostgres } from '../support/database.ts'
import { type Answer, address, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const [FIRST, SECOND, THIRD] = ['first horse battery', 'second horse battery', 'third horse battery']
const OWN = 'correct horse battery'
const UNVERIFIED = 'Email not verified'
const WRONG = 'Incorrect email or password'

/** A request of a stranger with an address; a sequence of them is sent in order. */
type Step = readonly ['signs up' | 'signs in', password: string]

const SEQUENCES: Record<string, readonly Step[]> = {
  'sign up, sign in': [
    ['signs up', FIRST],
    ['signs in', FIRST],
    ['signs in', SECOND],
    ['signs in', FIRST],
  ],
  'sign up twice with other passwords': [
    ['signs up', FIRST],
    ['signs up', SECOND],
    ['signs in', FIRST],
    ['signs in', SECOND],
  ],
  'sign up three times, back to the first': [
    ['signs up', FIRST],
    ['signs in', FIRST],
    ['signs up', SECOND],
    ['signs in', FIRST],
    ['signs in', SECOND],
    ['signs up', FIRST],
    ['signs in', FIRST],
    ['signs in', SECOND],
    ['signs in', THIRD],
  ],
  'sign in before': [
    ['signs in', FIRST],
    ['signs up', FIRST],
    ['signs in', FIRST],
  ],
  'try until it has to wait, then sign up': [
    ...Array.from({ length: limits.login.burst }, () => ['signs in', FIRST] as const),
    ['signs up', FIRST],
    ['signs in', FIRST],
  ],
  'sign in right until it has to wait': [
    ['signs up', FIRST],
    ...Array.from({ length: limits.login.burst + 1 }, () => ['signs in', FIRST] as const),
  ],
}

void test('where verification is required, sign-up and sign-in do not reveal who has an account', async (t) => {
  const service = await startService(t, {
    EMAIL_VERIFICATION: 'required',
    RATE_LIMIT_ENABLED: 'true',
    TRUST_PROXY: '127.0.0.1',
  })
  cheapHashing(service)
  const { app, call, rows, signIn, resetToken, admin } = service
  let networks = 0
  const someNetwork = () => ({ 'x-forwarded-for': `203.0.113.${++networks}` })
  const signUp = (email: string, password: string, headers = someNetwork()) =>
    call('POST', '/users/signup', { body: { email, password }, headers })
  const administer = (id: string, body: object) => call('PATCH', `/users/${id}`, { as: admin, body })

  /** A user who signed up, and by default verified their address. */
  async function owner(isVerified = true) {
    const email = address()
    const { body } = await signUp(email, OWN)
    if (isVerified) await rows(sql`update users set is_verified = true where id = ${body.id}`)
    return { email, id: body.id as string }
  }

  const kinds: Record<string, () => Promise<string>> = {
    new: () => Promise.resolve(address()),
    'of an account': async () => (await owner()).email,
    'of an account that is unverified': async () => (await owner(false)).email,
    'of an inactive account': async () => {
      const { email, id } = await owner()
      await administer(id, { is_active: false })
      return email
    },
    'of an inactive account that is unverified': async () => {
      const { email, id } = await owner(false)
      await administer(id, { is_active: false })
      return email
    },
    'of a deleted account': async () => {
      const { email, id } = await owner()
      await call('DELETE', `/users/${id}`, { as: admin })
      return email
    },
    'of an account that others signed up with before': async () => {
      const { email } = await owner()
      await signUp(email, 'earlier horse battery')
      return email
    },
    'of an account that a superuser made': async () => {
      const email = address()
      await call('POST', '/users/', { as: admin, body: { email, password: OWN } })
      return email
    },
  }

  /** All that a stranger sees in the answers. */
  async function seen(email: string, steps: readonly Step[]) {
    const headers = someNetwork()
    const answers: object[] = []
    for (const [what, password] of steps) {
      const form = new URLSearchParams({ username: email, password }).toString()
      const type = { 'content-type': 'application/x-www-form-urlencoded' }
      const { status, body } =
        what === 'signs up'
          ? await signUp(email, password, headers)
          : await call('POST', '/login/access-token', { body: form, headers: { ...headers, ...type } })
      const fields = 'id' in body ? { ...body, id: 'some', created_at: 'some', email: 'theirs' } : body
      answers.push({ what, status, ...(status === 429 ? {} : { fields }) })
    }
    return answers
  }

  for (const [name, steps] of Object.entries(SEQUENCES))
    await t.test(name, async (t) => {
      const expected = await seen(await kinds.new!(), steps)
      for (const [kind, make] of Object.entries(kinds))
        t.strictSame(await seen(await make(), steps), expected, `an address ${kind}`)
    })

  await t.test('the right password of an unverified account is 400 "Email not verified"', async (t) => {
    const { email } = await owner(false)
    isAnswer(t, await signIn(email, OWN), 400, UNVERIFIED)
    isAnswer(t, await signIn(email, FIRST), 400, WRONG)
    isAnswer(t, await signIn(address(), FIRST), 400, WRONG)
  })

  await t.test('a sign-up with a taken address gives no access, and the owner still signs in', async (t) => {
    const { email } = await owner()
    await signUp(email, FIRST)
    isAnswer(t, await signIn(email, FIRST), 400, UNVERIFIED)
    t.equal((await signIn(email, OWN)).status, 200)
  })

  await t.test('a stranger’s sign-up is forgotten once the owner verifies or resets', async (t) => {
    const [verifier, known] = [await owner(false), await owner()]
    for (const { email } of [verifier, known]) await signUp(email, FIRST)
    const [mail] = await rows<{ token_id: string }>(
      sql`select token_id from emails where user_id = ${verifier.id} and message = 'verification'`,
    )
    const link = app.auth.oneTimeTokens.sign('verify_email', mail!.token_id)
    t.equal((await call('POST', '/verify-email/', { body: { token: link } })).status, 200)
    const reset = { token: await resetToken(known.email), new_password: SECOND }
    t.equal((await call('POST', '/reset-password/', { body: reset })).status, 200)
    for (const { email } of [verifier, known]) isAnswer(t, await signIn(email, FIRST), 400, WRONG)
    t.equal((await signIn(verifier.email, OWN)).status, 200)
    t.equal((await signIn(known.email, SECOND)).status, 200)
  })

  await t.test('a stranger’s sign-up does not follow the account to another address', async (t) => {
    const { email, id } = await owner()
    await signUp(email, FIRST)
    const moved = `moved-${randomUUID()}@example.com`
    await administer(id, { email: moved })
    isAnswer(t, await signIn(moved, FIRST), 400, WRONG)
    isAnswer(t, await signIn(moved, OWN), 400, UNVERIFIED)
  })
})

void test(
  'of two sign-ups with one address at the same moment, the later one counts',
  needsPostgres,
  async (t) => {
    const service = await startService(t, { EMAIL_VERIFICATION: 'required' })
    cheapHashing(service)
    const { app, call, rows, signIn } = service
    const blocked = sql`select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
    const signUps = {
      new: (email: string) =>
        sql`insert into users (email, hashed_password) values (${email}, 'of the first')`,
      'of an account': (email: string) =>
        sql`update users set claimed_password_hash = 'of the first' where email = ${email}`,
    }
    for (const [kind, first] of Object.entries(signUps)) {
      const email = address()
      if (kind !== 'new')
        await rows(sql`insert into users (email, hashed_password, is_verified) values (${email}, '', true)`)
      const calls: Promise<Answer>[] = []
      await app.db.transaction(async (other) => {
        await other.execute(first(email))
        calls.push(call('POST', '/users/signup', { body: { email, password: SECOND } }))
        await until(async () => (await rows(blocked)).length > 0)
      })
      t.equal((await calls[0])?.status, 200)
      isAnswer(t, await signIn(email, SECOND), 400, UNVERIFIED, `an address that is ${kind}`)
    }
  },
)
