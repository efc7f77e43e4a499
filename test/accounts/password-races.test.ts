import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { isAnswer, refusesToken } from '../support/answers.ts'
import { cheapHashing, holdNext, outdatedHash } from '../support/cheap-hashing.ts'
import { needsPostgres, rounds } from '../support/database.ts'
import { type Answer, type Person, address, startService } from '../support/service.ts'

const ROUNDS = rounds(50)
const INCORRECT = 'Incorrect email or password'
const [OWN, ADMINS, MAILED] = ['chosen by the owner', 'chosen by an administrator', 'chosen by a link']

void test('races about passwords', needsPostgres, async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { call, admin, rows, signIn, again, resetToken } = service
  const me = (as: Person) => call('GET', '/users/me', { as })
  const makeOutdated = ({ id, password }: Person) =>
    rows(sql`update users set hashed_password = ${outdatedHash(password)} where id = ${id}`)
  const administer = ({ id }: Person, body: object) => call('PATCH', `/users/${id}`, { as: admin, body })
  const use = (token: string, new_password = MAILED) =>
    call('POST', '/reset-password/', { body: { token, new_password } })
  const changeOwn = (person: Person, new_password = OWN) =>
    call('PATCH', '/users/me/password', {
      as: person,
      body: { current_password: person.password, new_password },
    })
  /** Which of these passwords sign in. */
  async function inForce({ email }: Person, passwords: readonly string[]) {
    const answers = await Promise.all(passwords.map((password) => signIn(email, password)))
    return passwords.filter((_, at) => answers[at]?.status === 200)
  }

  interface Change {
    /** Prepares the change, outside of the race. */
    prepare?: (person: Person) => Promise<string>
    happens(person: Person, token: string): Promise<Answer>
    /** The password afterwards, if one can sign in at all. */
    password?: string
  }
  const changes: Record<string, Change> = {
    'the owner changes the password': { happens: (person) => changeOwn(person), password: OWN },
    'an administrator changes it': {
      happens: (person) => administer(person, { password: ADMINS }),
      password: ADMINS,
    },
    'a link changes it': {
      prepare: ({ email }) => resetToken(email),
      happens: (_person, token) => use(token),
      password: MAILED,
    },
    'the user is deactivated': { happens: (person) => administer(person, { is_active: false }) },
    'the user is deleted': { happens: ({ id }) => call('DELETE', `/users/${id}`, { as: admin }) },
  }

  for (const [event, { prepare, happens, password }] of Object.entries(changes)) {
    const isRight = async (t: Test, person: Person, login: Answer) => {
      if (login.status === 200) refusesToken(t, await me({ ...person, token: login.body.access_token }))
      else isAnswer(t, login, 400, login.body.detail === 'Inactive user' ? 'Inactive user' : INCORRECT)
      t.strictSame(await inForce(person, [person.password, OWN, ADMINS, MAILED]), password ? [password] : [])
    }

    for (const outdated of [false, true]) {
      const renewing = outdated ? ', and would renew the hash' : ''
      await t.test(
        `fault 13: a sign-in that has matched the old password${renewing} while ${event} gets no session`,
        async (t) => {
          const person = await service.person()
          const token = (await prepare?.(person)) ?? ''
          if (outdated) await makeOutdated(person)
          const { reached, release } = holdNext(service, outdated ? 'renew' : 'verify')
          const login = signIn(person.email, person.password)
          await reached
          t.equal((await happens(person, token)).status, 200)
          release()
          // Only a deactivated user is told so: their password is still right.
          isAnswer(t, await login, 400, event === 'the user is deactivated' ? 'Inactive user' : INCORRECT)
          await isRight(t, person, await login)
        },
      )
    }

    await t.test(
      `fault 13: sign-ins while ${event} leave no session and undo nothing, in ${ROUNDS} rounds`,
      async (t) => {
        for (let round = 0; round < ROUNDS; round++) {
          const person = await service.person()
          const token = (await prepare?.(person)) ?? ''
          if (round % 2) await makeOutdated(person)
          const [one, other, changed] = await Promise.all([
            signIn(person.email, person.password),
            signIn(person.email, person.password),
            happens(person, token),
          ])
          t.equal(changed.status, 200, `${changed.status} ${changed.text}`)
          for (const login of [one, other]) await isRight(t, person, login)
        }
      },
    )
  }

  await t.test(
    'two devices that sign in at once are both let in, also while the hash is renewed',
    async (t) => {
      const person = await service.person()
      await makeOutdated(person)
      const { reached, release } = holdNext(service, 'verify')
      const login = signIn(person.email, person.password)
      await reached
      t.equal((await signIn(person.email, person.password)).status, 200)
      release()
      t.match(await login, { status: 200 }, 'the password was right all the time')
    },
  )

  await t.test(
    'a change of password succeeds while another device signs in and renews the hash',
    async (t) => {
      const person = await service.person()
      await makeOutdated(person)
      const { reached, release } = holdNext(service, 'verify')
      const changed = changeOwn(person)
      await reached
      t.equal((await signIn(person.email, person.password)).status, 200)
      release()
      t.match(await changed, { status: 200 }, 'the password was right all the time')
      t.strictSame(await inForce(person, [person.password, OWN]), [OWN])
    },
  )

  await t.test(
    'of two sessions that change the password at once, one succeeds and ends the other',
    async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const person = await service.person()
        const sessions = [person, await again(person)]
        const answers = await Promise.all(sessions.map((session, at) => changeOwn(session, `${OWN} ${at}`)))
        const won = answers.findIndex(({ status }) => status === 200)
        const lost = answers[1 - won]!
        t.ok([400, 401].includes(lost.status), `${won} won, the other got ${lost.status}`)
        t.strictSame(await inForce(person, [`${OWN} 0`, `${OWN} 1`]), [`${OWN} ${won}`])
        t.equal((await me(sessions[won]!)).status, 200)
        refusesToken(t, await me(sessions[1 - won]!))
      }
    },
  )

  await t.test('of three password changes at once, the one in force was answered 200', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const person = await service.person()
      const token = await resetToken(person.email)
      const answers = await Promise.all([
        changeOwn(person),
        administer(person, { password: ADMINS }),
        use(token),
      ])
      for (const { status, text } of answers) t.ok([200, 400, 401].includes(status), text)
      const told = [OWN, ADMINS, MAILED].filter((_, at) => answers[at]?.status === 200)
      const [password, ...more] = await inForce(person, [person.password, OWN, ADMINS, MAILED])
      t.strictSame(more, [])
      t.ok(told.includes(password ?? ''))
      t.equal((await me(person)).status, password === OWN ? 200 : 401, 'who did not choose it last is out')
    }
  })

  await t.test('of two recovery links used at once, while more are asked for, one works', async (t) => {
    for (let round = 0; round < ROUNDS; round++) {
      const person = await service.person()
      const links = [await resetToken(person.email), await resetToken(person.email)]
      const ask = () => call('POST', `/password-recovery/${person.email}`)
      const [one, other, ...asked] = await Promise.all([
        use(links[0]!, `${MAILED} 0`),
        use(links[1]!, `${MAILED} 1`),
        ask(),
        ask(),
        ask(),
      ])
      const won = [one, other].findIndex(({ status }) => status === 200)
      isAnswer(t, [one, other][1 - won]!, 400, 'Invalid token')
      t.strictSame(await inForce(person, [`${MAILED} 0`, `${MAILED} 1`]), [`${MAILED} ${won}`])
      for (const { status, text } of asked) t.equal(status, 200, text)
    }
  })

  const spoilers: Record<string, (person: Person, other: string) => Promise<Answer>> = {
    'another link is used': (_person, other) => use(other, OWN),
    'the password changes': (person) => changeOwn(person),
    'the address changes': (person) => administer(person, { email: address() }),
    'another program changes the address': async (person) => {
      await rows(sql`update users set email = ${address()} where id = ${person.id}`)
      return me(person)
    },
    'the user is deactivated': (person) => administer(person, { is_active: false }),
    'the user is deleted': ({ id }) => call('DELETE', `/users/${id}`, { as: admin }),
  }
  for (const [event, happens] of Object.entries(spoilers)) {
    await t.test(`a reset changes nothing if ${event} while it hashes`, async (t) => {
      const person = await service.person()
      const [link, other] = [await resetToken(person.email), await resetToken(person.email)]
      const { reached, release } = holdNext(service, 'hash')
      const used = use(link)
      await reached
      t.equal((await happens(person, other)).status, 200)
      release()
      t.match(await used, { status: 400, body: { detail: /^(Invalid token|Inactive user)$/ } })
      const current = `select hashed_password from users where id = '${person.id}'`
      t.notMatch(await rows(sql.raw(current)), [{ hashed_password: new RegExp(MAILED) }])
    })
  }
})
