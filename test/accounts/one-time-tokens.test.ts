import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { rounds } from '../support/database.ts'
import { type Person, address, startService } from '../support/service.ts'

const ROUNDS = rounds(50, 3)
const ASKED = { message: 'If that email is registered, we sent a password recovery link' }
const DONE = { message: 'Password updated successfully' }
const INVALID = 'Invalid token'
const NEW_PASSWORD = 'another horse battery'

void test('one-time tokens', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { app, call, admin, rows, resetToken } = service
  const use = (token: string, new_password = NEW_PASSWORD) =>
    call('POST', '/reset-password/', { body: { token, new_password } })
  const ask = (email: string) => call('POST', `/password-recovery/${email}`)
  const administer = (id: string, body: object) => call('PATCH', `/users/${id}`, { as: admin, body })

  /** The tokens that would work, oldest first. */
  const live = async ({ id }: { id: string }) => {
    const found = await rows<{ id: string }>(
      sql`select id from one_time_tokens where user_id = ${id} and expires_at > now() order by created_at, id`,
    )
    return found.map((token) => app.auth.oneTimeTokens.sign('reset_password', token.id))
  }
  const mailed = async ({ id }: Person) => {
    const found = await rows<{ token_id: string }>(
      sql`select token_id from emails where user_id = ${id} order by created_at, id`,
    )
    return found.map(({ token_id }) => app.auth.oneTimeTokens.sign('reset_password', token_id))
  }
  /** A user who asked for three recovery links, and their tokens. */
  const withThree = async () => {
    const person = await service.person()
    for (let asked = 0; asked < 3; asked++) await ask(person.email)
    return { person, tokens: await live(person) }
  }
  const allDead = async (t: Test, tokens: readonly string[]) => {
    for (const token of tokens) isAnswer(t, await use(token), 400, INVALID)
  }

  await t.test('a recovery link works once', async (t) => {
    const ada = await service.person()
    const token = await resetToken(ada.email)
    isAnswer(t, await use(token), 200, DONE)
    isAnswer(t, await use(token, 'a third horse battery'), 400, INVALID)
    t.equal((await service.signIn(ada.email, NEW_PASSWORD)).status, 200)
  })

  await t.test('fault 7: GET, HEAD and OPTIONS, as by a mail scanner, do not use a link up', async (t) => {
    const token = await resetToken((await service.person()).email)
    for (const method of ['GET', 'HEAD', 'OPTIONS'] as const) {
      await call(method, `/reset-password/?token=${token}`)
      await call(method, `/api/v1/../../reset-password?token=${token}`)
    }
    isAnswer(t, await use(token), 200, DONE)
  })

  await t.test(
    `fault 7: a link used 20 times at once changes the password once, ${ROUNDS} times`,
    async (t) => {
      const ada = await service.person()
      for (let round = 0; round < ROUNDS; round++) {
        const token = await resetToken(ada.email)
        const passwords = Array.from({ length: 20 }, (_, number) => `horse number ${number} of ${round}`)
        const answers = await Promise.all(passwords.map((password) => use(token, password)))
        const won = answers.findIndex(({ status }) => status === 200)
        for (const [number, answer] of answers.entries())
          if (number !== won) isAnswer(t, answer, 400, INVALID)
        t.equal((await service.signIn(ada.email, passwords[won] ?? '')).status, 200, 'whoever was told so')
      }
    },
  )

  await t.test(
    'fault 7: asking again leaves earlier links valid, so that strangers cannot revoke them',
    async (t) => {
      const ada = await service.person()
      for (let asked = 0; asked < 6; asked++) isAnswer(t, await ask(ada.email), 200, ASKED)
      const links = await mailed(ada)
      t.equal(new Set(links).size, 6)
      t.strictSame(new Set(await live(ada)), new Set(links), 'all of them work')
      isAnswer(t, await use(links[0]!), 200, DONE)
      await allDead(t, links)
    },
  )

  await t.test(
    `fault 7: every link that is mailed works, also when 20 ask at once, ${ROUNDS} times`,
    async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const ada = await service.person()
        const answers = await Promise.all(Array.from({ length: 20 }, () => ask(ada.email)))
        t.ok(answers.every(({ status }) => status === 200))
        const links = await mailed(ada)
        t.equal(new Set(links).size, 20)
        t.strictSame(new Set(await live(ada)), new Set(links))
      }
    },
  )

  const killers: Record<string, (person: Person, tokens: string[]) => Promise<{ status: number }>> = {
    'one of them is used': (_person, tokens) => use(tokens.pop()!),
    'the owner changes the password': (person) =>
      call('PATCH', '/users/me/password', {
        as: person,
        body: { current_password: person.password, new_password: NEW_PASSWORD },
      }),
    'an administrator changes it': ({ id }) => administer(id, { password: NEW_PASSWORD }),
    'the owner changes the address': (person) =>
      call('PATCH', '/users/me', { as: person, body: { email: address() } }),
    'an administrator changes the address': ({ id }) => administer(id, { email: address() }),
    'another program changes the address': async ({ id }) => {
      await rows(sql`update users set email = ${address()} where id = ${id}`)
      return { status: 200 }
    },
    'the owner deletes the account': (person) => call('DELETE', '/users/me', { as: person }),
    'an administrator deletes it': ({ id }) => call('DELETE', `/users/${id}`, { as: admin }),
  }
  for (const [event, happens] of Object.entries(killers)) {
    await t.test(`every recovery link of an account is 400 once ${event}`, async (t) => {
      const { person, tokens } = await withThree()
      t.equal(tokens.length, 3)
      t.equal((await happens(person, tokens)).status, 200)
      await allDead(t, tokens)
    })
  }

  await t.test('recovery links survive other changes to the account', async (t) => {
    const { person, tokens } = await withThree()
    await administer(person.id, { full_name: 'Ada L.', is_superuser: true })
    await administer(person.id, { email: person.email.toUpperCase() })
    await call('PATCH', '/users/me', { as: person, body: { email: person.email } })
    await service.again(person)
    t.strictSame(await live(person), tokens)
    isAnswer(t, await use(tokens[0]!), 200, DONE)
  })

  await t.test('a used link stays 400 after the account is deleted and created again', async (t) => {
    const ada = await service.person()
    const token = await resetToken(ada.email)
    isAnswer(t, await use(token), 200, DONE)
    await call('DELETE', `/users/${ada.id}`, { as: admin })
    isAnswer(t, await use(token), 400, INVALID)
    await service.person({ email: ada.email })
    isAnswer(t, await use(token), 400, INVALID)
  })

  await t.test('the link of a deactivated user is 400, and works after reactivation', async (t) => {
    const ada = await service.person()
    const token = await resetToken(ada.email)
    await administer(ada.id, { is_active: false })
    isAnswer(t, await use(token), 400, 'Inactive user')
    await administer(ada.id, { is_active: true })
    t.equal((await service.signIn(ada.email, NEW_PASSWORD)).status, 400, 'nothing was changed meanwhile')
    isAnswer(t, await use(token), 200, DONE)
  })

  await t.test('an expired link is 400, and the user can ask for another', async (t) => {
    const { person, tokens } = await withThree()
    await rows(sql`update one_time_tokens set expires_at = now() where user_id = ${person.id}`)
    await allDead(t, tokens)
    const fresh = await resetToken(person.email)
    t.notOk(tokens.includes(fresh))
    t.strictSame(await live(person), [fresh])
    await allDead(t, tokens)
    isAnswer(t, await use(fresh), 200, DONE)
  })

  await t.test('a recovery link is valid for an hour, a welcome link for two days', async (t) => {
    const ada = await service.person()
    await ask(ada.email)
    const { body } = await call('POST', '/users/', {
      as: admin,
      body: { email: address(), password: NEW_PASSWORD },
    })
    const seconds = await rows<{ user_id: string; life: number }>(
      sql`select user_id, extract(epoch from expires_at - created_at)::integer as life from one_time_tokens
          where user_id in (${ada.id}, ${body.id})`,
    )
    const lives = Object.fromEntries(seconds.map(({ user_id, life }) => [user_id, life]))
    t.strictSame(lives, { [ada.id]: 3600, [body.id]: 48 * 3600 }, 'an hour; a welcome two days')
  })

  await t.test('a forged or altered link is 400', async (t) => {
    const token = await resetToken((await service.person()).email)
    const other = await resetToken((await service.person()).email)
    const [id, mac] = token.split('.') as [string, string]
    const { sign } = app.auth.oneTimeTokens
    await allDead(t, [
      id,
      `${id}.`,
      `.${mac}`,
      `${id}.${mac.slice(0, -1)}`,
      `${id}.${mac}A`,
      `${id}.${mac}=`,
      ` ${token}`,
      token.toUpperCase(),
      `${id.toUpperCase()}.${mac}`,
      `${other.split('.')[0]}.${mac}`,
      `${id}.${'A'.repeat(mac.length)}`,
      // The last letter of base64url has bits that decoding drops.
      ...['A', 'E', 'I', 'M', 'Q'].map((last) => token.slice(0, -1) + last).filter((one) => one !== token),
      sign('verify_email', id),
      sign('reset_password', randomUUID()),
      'x'.repeat(30_000),
    ])
    isAnswer(t, await use(token), 200, DONE)
  })
})
