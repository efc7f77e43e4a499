import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { freshNetwork, letPass, limited } from '../support/limits.ts'
import { type Person, type Service, address, startService } from '../support/service.ts'

const MINUTE = 60
const PASSWORD = 'correct horse battery'

interface Mail {
  readonly message: string
  readonly token_id: string | null
  /** Seconds until it is due; 0 once a deliverer has taken it. */
  readonly due_in: number
}

/** Requests of users and strangers, each from a network of its own unless one is given. */
function acts({ app, call, rows }: Service) {
  return {
    recover: (email: string, from = freshNetwork()) => call('POST', `/password-recovery/${email}`, { from }),
    resend: (email: string, from = freshNetwork()) =>
      call('POST', '/verify-email/resend', { body: { email }, from }),
    signup: (email: string) =>
      call('POST', '/users/signup', { body: { email, password: PASSWORD }, from: freshNetwork() }),
    move: (as: Person, email: string) =>
      call('PATCH', '/users/me', { as, body: { email }, from: freshNetwork() }),
    /** Changes the password to and fro. */
    async changePassword(person: Person, times: number) {
      let [current_password, new_password] = [person.password, `${person.password} 2`]
      for (let change = 0; change < times; change++) {
        // Not about the limit of password changes.
        await rows(sql`delete from rate_limits where key !~ '^[a-z_]+ '`)
        const body = { current_password, new_password }
        const { status, text } = await call('PATCH', '/users/me/password', { as: person, body })
        if (status !== 200) throw new Error(text)
        ;[current_password, new_password] = [new_password, current_password]
      }
      return { ...person, password: current_password }
    },
    verified: ({ id }: Person) => rows(sql`update users set is_verified = true where id = ${id}`),
    mailsTo: (email: string) =>
      rows<Mail>(
        sql`select message, token_id, case when attempts > 0 then 0 else extract(epoch from next_attempt_at - now()) end::float as due_in
            from emails where recipient = ${email} order by created_at, id`,
      ),
    /** Whether the link of a mail would work now. */
    async works({ token_id }: Mail) {
      const { find, sign } = app.auth.oneTimeTokens
      return (await find('reset_password', sign('reset_password', token_id ?? ''))) !== undefined
    },
  }
}

/** Lets time pass for all that is counted, and for links. */
async function pass(service: Service, seconds: number) {
  await letPass(service, seconds)
  await service.rows(sql`update one_time_tokens set
    expires_at = expires_at - make_interval(secs => ${seconds}::integer),
    created_at = created_at - make_interval(secs => ${seconds}::integer)`)
}

void test('the mail that others can cause to an address is limited', async (t) => {
  const service = await startService(t, limited)
  cheapHashing(service)
  const { recover, resend, signup, move, changePassword, verified, mailsTo } = acts(service)
  const { call, person } = service
  const count = async (email: string, message: string) =>
    (await mailsTo(email)).filter((mail) => mail.message === message).length

  await t.test('a user who signed up with a stranger’s address cannot flood it with mail', async (t) => {
    const victim = address()
    await signup(victim)
    let mallory = await service.again({ id: '', email: victim, password: PASSWORD, token: '' })
    mallory = await changePassword(mallory, 40)
    for (let round = 0; round < 10; round++) {
      await resend(victim)
      await recover(victim)
      await move(mallory, address())
      await move(mallory, victim)
      const { body } = await service.signIn(victim, mallory.password)
      const refresh = (refresh_token: string) =>
        call('POST', '/login/refresh-token', { body: { refresh_token } })
      const { body: next } = await refresh(body.refresh_token)
      await refresh(next.refresh_token)
      t.equal((await refresh(body.refresh_token)).status, 401, 'ends the session, which is told')
    }
    t.strictSame((await mailsTo(victim)).map(({ message }) => message).toSorted(), [
      'new_address',
      'own_address_changed',
      'password_changed',
      'recovery',
      'session_ended',
      'verification',
      'verification',
    ])
    await pass(service, 24 * 60 * MINUTE)
    await changePassword(mallory, 40)
    t.equal(await count(victim, 'password_changed'), 1, 'nor the day after')
  })

  await t.test('deleting an account and signing up again sends its address no more mail', async (t) => {
    const victim = address()
    for (let round = 0; round < 10; round++) {
      t.equal((await signup(victim)).status, 200)
      const mallory = await service.again({ id: '', email: victim, password: PASSWORD, token: '' })
      await changePassword(mallory, 2)
      t.ok((await mailsTo(victim)).length <= (round === 0 ? 2 : 0))
      t.equal((await call('DELETE', '/users/me', { as: mallory })).status, 200)
    }
  })

  await t.test('a verified owner is mailed about password changes every ten minutes at most', async (t) => {
    const ada = await person()
    await verified(ada)
    await changePassword(ada, 40)
    const [first, second, ...more] = await mailsTo(ada.email)
    t.match([first?.message, second?.message], ['password_changed', 'password_changed'])
    t.ok(first!.due_in <= 0, 'at once')
    t.ok(second!.due_in > 9 * MINUTE && second!.due_in <= 10 * MINUTE, `and after ${second!.due_in} s`)
    t.strictSame(more, [])
    await pass(service, 10 * MINUTE)
    await changePassword(ada, 40)
    t.equal((await mailsTo(ada.email)).length, 3)
    await pass(service, 30 * MINUTE)
    await changePassword(ada, 2)
    const last = (await mailsTo(ada.email)).at(-2)!
    t.ok(last.due_in <= 0, 'later at once again')
  })

  await t.test('twenty requests or changes at once send as little mail as one by one', async (t) => {
    const ada = await person()
    await verified(ada)
    await Promise.all(Array.from({ length: 20 }, () => recover(ada.email)))
    t.equal(await count(ada.email, 'recovery'), 1)
    const administer = () =>
      call('PATCH', `/users/${ada.id}`, { as: service.admin, body: { password: PASSWORD } })
    const answers = await Promise.all(Array.from({ length: 20 }, administer))
    t.ok(answers.every(({ status }) => status === 200))
    t.equal(await count(ada.email, 'password_changed'), 2, 'now and in ten minutes')
  })

  await t.test('all plus-addresses of a mailbox share one limit', async (t) => {
    const [local, domain] = address().split('@') as [string, string]
    const tagged = Array.from({ length: 20 }, (_, number) => `${local}+${number}@${domain}`)
    for (const email of tagged) t.equal((await signup(email)).status, 200)
    for (const email of tagged) await Promise.all([recover(email), resend(email)])
    const mails = (await Promise.all(tagged.map(mailsTo))).flat().map(({ message }) => message)
    t.strictSame(mails.toSorted(), ['recovery', 'verification', 'verification'])

    t.equal((await signup(`${local}@${domain}`)).status, 200)
    await recover(`${local}@${domain}`)
    t.equal(await count(`${local}@${domain}`, 'recovery'), 1, 'whose owner they take nothing from')
  })

  await t.test('plus-addresses share one limit even if each has signed in before', async (t) => {
    const [[local, domain], from] = [address().split('@') as [string, string], freshNetwork()]
    const tagged = Array.from({ length: 20 }, (_, number) => `${local}+${number}@${domain}`)
    for (const email of tagged) {
      t.equal((await signup(email)).status, 200)
      t.equal((await service.signIn(email, PASSWORD, from)).status, 200)
    }
    for (const email of tagged) t.equal((await recover(email, from)).status, 200)
    const mails = (await Promise.all(tagged.map(mailsTo))).flat().map(({ message }) => message)
    t.equal(mails.filter((message) => message === 'recovery').length, 1)
  })

  await t.test('addresses that differ in a dot have a limit each, those in case share one', async (t) => {
    const [one, other] = [
      await person({ email: 'a.b@example.com' }),
      await person({ email: 'ab@example.com' }),
    ]
    for (const { email } of [one, other]) {
      await recover(email.toUpperCase())
      await recover(email)
      t.equal(await count(email, 'recovery'), 1, 'whatever the case')
    }
  })

  await t.test('with RATE_LIMIT_ENABLED=false, no mail is limited', async (t) => {
    const open = await startService(t)
    cheapHashing(open)
    const ada = await open.person()
    const act = acts(open)
    await act.changePassword(ada, 3)
    for (let asked = 0; asked < 3; asked++) await act.recover(ada.email)
    t.equal((await act.mailsTo(ada.email)).length, 6)
  })
})

void test('strangers cannot block a recovery', async (t) => {
  const service = await startService(t, limited)
  cheapHashing(service)
  const { recover, resend, signup, move, mailsTo, verified, works } = acts(service)
  const { person } = service
  const recoveries = async (email: string) =>
    (await mailsTo(email)).filter(({ message }) => message === 'recovery')
  /** Asks for a link as the owner. @returns whether a link in the mailbox works */
  const ownerHasLink = async (t: Test, email: string, from = freshNetwork()) => {
    t.equal((await recover(email, from)).status, 200)
    const links = await Promise.all((await recoveries(email)).map(works))
    return links.includes(true)
  }
  /** All ways in which a stranger can have mail sent to an address, each from another network. */
  const harass = async (email: string, mallory: Person) => {
    const [local, domain] = email.split('@')
    await Promise.all([
      recover(email),
      resend(email),
      signup(email),
      move(mallory, email),
      recover(email.toUpperCase()),
      recover(`${local}+x@${domain}`),
      signup(`${local}+x@${domain}`),
    ])
  }

  for (const isVerified of [true, false])
    await t.test(
      `the owner of ${isVerified ? 'a verified' : 'an unverified'} address has a link that works, whatever strangers do`,
      async (t) => {
        const [owner, mallory] = [await person(), await person()]
        if (isVerified) await verified(owner)
        for (let minute = 0; minute < 5 * 60; minute += 5) {
          await harass(owner.email, mallory)
          t.ok(await ownerHasLink(t, owner.email), `after ${minute} minutes`)
          await pass(service, 5 * MINUTE)
        }
        const mails = (await recoveries(owner.email)).length
        t.ok(mails <= 3 + 5, `and ${mails} mails in five hours`)
      },
    )

  await t.test('requests for an address without an account do not count once it has one', async (t) => {
    const email = address()
    for (let asked = 0; asked < 10; asked++) await Promise.all([recover(email), resend(email)])
    await signup(email)
    t.strictSame(
      (await mailsTo(email)).map(({ message }) => message),
      ['verification'],
    )
    t.ok(await ownerHasLink(t, email), 'nothing was mailed')
    await resend(email)
    t.equal((await mailsTo(email)).length, 3)
  })

  await t.test('other kinds of mail do not count towards the limit of recovery mails', async (t) => {
    const owner = await person()
    const mallory = await person()
    for (let asked = 0; asked < 10; asked++) {
      await Promise.all([resend(owner.email), signup(owner.email), move(mallory, owner.email)])
      await pass(service, 10 * MINUTE)
    }
    t.strictSame(await recoveries(owner.email), [])
    await recover(owner.email)
    t.equal((await recoveries(owner.email)).length, 1)
  })

  await t.test('a network that signed in before can have one more recovery mail sent', async (t) => {
    const [owner, home] = [await person(), freshNetwork()]
    t.equal((await service.signIn(owner.email, owner.password, home)).status, 200)
    await recover(owner.email)
    t.equal((await recoveries(owner.email)).length, 1)
    await recover(owner.email)
    t.equal((await recoveries(owner.email)).length, 1)
    await recover(owner.email, home)
    t.equal((await recoveries(owner.email)).length, 2)
    await recover(owner.email, home)
    t.equal((await recoveries(owner.email)).length, 2, 'bounded as well')
  })

  await t.test('a recovery request is answered the same whether or not a mail is sent', async (t) => {
    const owner = await person()
    const seen = []
    for (const email of [owner.email, owner.email, address(), owner.email]) {
      const { status, text, headers } = await recover(email)
      seen.push({ status, text, names: Object.keys(headers) })
    }
    for (const answer of seen) t.strictSame(answer, seen[0])
  })
})
