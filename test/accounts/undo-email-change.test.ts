import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { statements } from '../../src/database/statement.ts'
import { isAnswer } from '../support/answers.ts'
import { cheapHashing } from '../support/cheap-hashing.ts'
import { rounds } from '../support/database.ts'
import { type Person, type Service, address, startService } from '../support/service.ts'

const ROUNDS = rounds(50, 3)
const INVALID = 'Invalid token'
const RESTORED = { message: 'Email address restored' }
const NEW_PASSWORD = 'another horse battery'

interface Mail {
  readonly message: string
  readonly token_id: string | null
  readonly params: Record<string, string | null>
}

function acts({ app, call, rows, admin }: Service) {
  const mailsTo = (email: string) =>
    rows<Mail>(
      sql`select message, token_id, params from emails where recipient = ${email} order by created_at, id`,
    )
  const linksTo = async (email: string, message = 'own_address_changed') =>
    (await mailsTo(email)).filter((mail) => mail.message === message).map(({ token_id }) => token_id!)
  return {
    mailsTo,
    move: (as: Person, email: string) => call('PATCH', '/users/me', { as, body: { email } }),
    verify: ({ id }: Person) => rows(sql`update users set is_verified = true where id = ${id}`),
    /** The tokens that were mailed to an address, oldest first. */
    undosAt: async (email: string) =>
      (await linksTo(email)).map((id) => app.auth.oneTimeTokens.sign('undo_email_change', id)),
    resetsAt: async (email: string) =>
      (await linksTo(email, 'address_restored')).map((id) =>
        app.auth.oneTimeTokens.sign('reset_password', id),
      ),
    undo: (token: string | undefined) => call('POST', '/undo-email-change/', { body: { token } }),
    reset: (token: string | undefined, new_password = NEW_PASSWORD) =>
      call('POST', '/reset-password/', { body: { token, new_password } }),
    read: async ({ id }: Person) => (await call('GET', `/users/${id}`, { as: admin })).body,
  }
}

void test('taking back a change of address', async (t) => {
  const service = await startService(t)
  cheapHashing(service)
  const { app, call, rows, admin, signIn } = service
  const { mailsTo, move, verify, undosAt, resetsAt, undo, reset, read } = acts(service)
  const taken = async () => {
    const ada = await service.person()
    await verify(ada)
    const stolen = address()
    t.equal((await move(ada, stolen)).status, 200)
    return { ada, stolen }
  }

  await t.test(
    'whoever had the address gets account and address back, with a password of their own',
    async (t) => {
      const { ada, stolen } = await taken()
      t.match(await read(ada), { email: stolen, is_verified: false }, 'it changed at once')
      const [token] = await undosAt(ada.email)
      isAnswer(t, await undo(token), 200, RESTORED)
      t.match(await read(ada), { email: ada.email, is_verified: true })
      t.equal((await call('GET', '/users/me', { as: ada })).status, 401, 'every session has ended')
      isAnswer(
        t,
        await signIn(ada.email, ada.password),
        400,
        'Incorrect email or password',
        'the thief may know it',
      )
      isAnswer(t, await signIn(stolen, ada.password), 400, 'Incorrect email or password')
      const [link] = await resetsAt(ada.email)
      isAnswer(t, await reset(link), 200, { message: 'Password updated successfully' })
      t.equal((await signIn(ada.email, NEW_PASSWORD)).status, 200)
      isAnswer(t, await undo(token), 400, INVALID, 'once')
    },
  )

  await t.test(
    'what the thief does meanwhile does not stop it: a reset, a new password, a second change',
    async (t) => {
      const { ada, stolen } = await taken()
      const verified = await verify(ada)
      t.ok(verified)
      const thief = await service.resetToken(stolen)
      t.equal((await reset(thief, 'a password of the thief')).status, 200)
      const theirs = await service.again({ ...ada, email: stolen, password: 'a password of the thief' })
      const further = address()
      t.equal((await move(theirs, further)).status, 200)
      const change = {
        current_password: 'a password of the thief',
        new_password: 'and one more of the thief',
      }
      t.equal((await call('PATCH', '/users/me/password', { as: theirs, body: change })).status, 200)
      const [token] = await undosAt(ada.email)
      const [thiefs] = await undosAt(stolen)
      isAnswer(t, await undo(token), 200, RESTORED)
      t.match(await read(ada), { email: ada.email, is_verified: true })
      isAnswer(t, await undo(thiefs), 400, INVALID, 'a later change can not be taken back any more')
      isAnswer(t, await reset(await service.resetToken(stolen)), 400, INVALID)
    },
  )

  await t.test('the undo of a later change leaves that of an earlier one', async (t) => {
    const { ada, stolen } = await taken()
    await verify(ada)
    await move(ada, address())
    const [[token], [later]] = [await undosAt(ada.email), await undosAt(stolen)]
    isAnswer(t, await undo(later), 200, RESTORED)
    t.match(await read(ada), { email: stolen })
    isAnswer(t, await undo(token), 200, RESTORED)
    t.match(await read(ada), { email: ada.email, is_verified: true })
  })

  await t.test(
    'it is refused where somebody else has the address by now, and works once it is free',
    async (t) => {
      const { ada } = await taken()
      const other = await service.person({ email: ada.email })
      const [token] = await undosAt(ada.email)
      isAnswer(t, await undo(token), 409, 'User with this email already exists')
      await call('DELETE', `/users/${other.id}`, { as: admin })
      isAnswer(t, await undo(token), 200, RESTORED)
    },
  )

  await t.test('an inactive account stays as it is, and a deleted one is gone', async (t) => {
    const { ada } = await taken()
    const [token] = await undosAt(ada.email)
    await call('PATCH', `/users/${ada.id}`, { as: admin, body: { is_active: false } })
    isAnswer(t, await undo(token), 400, 'Inactive user')
    await call('PATCH', `/users/${ada.id}`, { as: admin, body: { is_active: true } })
    await call('DELETE', `/users/${ada.id}`, { as: admin })
    isAnswer(t, await undo(token), 400, INVALID)
  })

  await t.test('a token that is forged, of another purpose or three days old is refused', async (t) => {
    const { ada } = await taken()
    const [token = ''] = await undosAt(ada.email)
    for (const one of ['', 'unknown', `${token.slice(0, -2)}xx`, await service.resetToken(address())])
      isAnswer(t, await undo(one), 400, INVALID)
    isAnswer(t, await reset(token), 400, INVALID)
    await rows(
      sql`update address_changes set expires_at = expires_at - interval '71 hours' where user_id = ${ada.id}`,
    )
    const [row] = await rows<{ live: boolean }>(
      sql`select expires_at > now() as live from address_changes where user_id = ${ada.id}`,
    )
    t.ok(row?.live)
    await rows(
      sql`update address_changes set expires_at = expires_at - interval '1 hour' where user_id = ${ada.id}`,
    )
    isAnswer(t, await undo(token), 400, INVALID)
  })

  await t.test('an address that was never verified takes nothing back from one that is', async (t) => {
    const ada = await service.person()
    const right = address()
    await move(ada, right)
    const [token] = await undosAt(ada.email)
    await verify(ada)
    isAnswer(t, await undo(token), 400, INVALID, 'it may be a stranger’s, mistyped at the sign-up')
    await rows(sql`update users set is_verified = false where id = ${ada.id}`)
    isAnswer(t, await undo(token), 200, RESTORED)
    t.match(await read(ada), { email: ada.email, is_verified: false })
  })

  await t.test('nor one that was given between two others, where the first can', async (t) => {
    const { ada, stolen: mistyped } = await taken()
    await move(ada, address())
    const [[first], [stranger]] = [await undosAt(ada.email), await undosAt(mistyped)]
    isAnswer(t, await undo(stranger), 400, INVALID)
    isAnswer(t, await undo(first), 200, RESTORED)
  })

  await t.test('what a thief added before the change goes as well; what is older stays', async (t) => {
    const ada = await service.person()
    await verify(ada)
    const key = async (name: string) =>
      (await call('POST', '/users/me/api-keys', { as: ada, body: { name, permissions: ['users:read'] } }))
        .body
    const [own, stolen] = [await key('own'), await key('stolen')]
    await rows(sql`update api_keys set created_at = now() - interval '73 hours' where id = ${own.id}`)
    await rows(
      sql`insert into factors (user_id, kind, secret, verified_at) values (${ada.id}, 'totp', 'x', now())`,
    )
    await rows(sql`insert into recovery_codes (user_id, hash) values (${ada.id}, 'x')`)
    await move(ada, address())
    const [token] = await undosAt(ada.email)
    isAnswer(t, await undo(token), 200, RESTORED)
    const [link] = await resetsAt(ada.email)
    isAnswer(t, await reset(link), 200, { message: 'Password updated successfully' })
    t.equal((await signIn(ada.email, NEW_PASSWORD)).status, 200, 'nobody asks for the code of a thief')
    t.strictSame(await rows(sql`select hash from recovery_codes where user_id = ${ada.id}`), [])
    const me = ({ key }: { key: string }) => call('GET', '/users/me', { as: { ...ada, token: key } })
    t.strictSame([(await me(own)).status, (await me(stolen)).status], [200, 401])
  })

  await t.test('what a superuser changes can not be taken back', async (t) => {
    const { ada, stolen } = await taken()
    const [token] = await undosAt(ada.email)
    const moved = address()
    await call('PATCH', `/users/${ada.id}`, { as: admin, body: { email: moved } })
    t.match(await mailsTo(stolen), [
      { message: 'new_address' },
      { message: 'address_changed', token_id: null },
    ])
    isAnswer(t, await undo(token), 400, INVALID)
  })

  await t.test('a change of case alone is no change of address', async (t) => {
    const ada = await service.person()
    await verify(ada)
    await move(ada, ada.email.toUpperCase())
    t.strictSame(await undosAt(ada.email), [])
    t.match(await read(ada), { is_verified: true })
  })

  await t.test(
    'an undo and a second change at once: one after the other, and the owner has the last word',
    async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        const { ada } = await taken()
        const [token] = await undosAt(ada.email)
        const [undone, moved] = await Promise.all([undo(token), move(ada, address())])
        isAnswer(t, undone, 200, RESTORED)
        t.ok([200, 401].includes(moved.status), String(moved.status))
        t.match(await read(ada), { email: ada.email, is_verified: true })
        t.equal((await call('GET', '/users/me', { as: ada })).status, 401)
      }
    },
  )

  await t.test('of an undo used twenty times at once, one is let through', async (t) => {
    const { ada } = await taken()
    const [token] = await undosAt(ada.email)
    const answers = await Promise.all(Array.from({ length: 20 }, () => undo(token)))
    t.strictSame(
      answers.map(({ status }) => status).filter((status) => status === 200),
      [200],
    )
    t.equal((await resetsAt(ada.email)).length, 1)
    t.ok(app.mail.enabled)
  })
})

void test('a new address that has to be confirmed', async (t) => {
  const service = await startService(t, { EMAIL_CHANGE: 'confirmed' })
  cheapHashing(service)
  const { app, call, admin, rows, signIn } = service
  const { mailsTo, move, verify, undosAt, undo, read } = acts(service)
  const confirm = (token: string | undefined) => call('POST', '/verify-email/', { body: { token } })
  const linksAt = async (email: string) =>
    (await mailsTo(email))
      .filter(({ message }) => message === 'new_address')
      .map(({ token_id }) => app.auth.oneTimeTokens.sign('verify_email', token_id!))

  await t.test('it is the account’s once its link is used; the one before can take it back', async (t) => {
    const ada = await service.person()
    await verify(ada)
    const email = address()
    t.match(
      (await move(ada, email)).body,
      { email: ada.email, is_verified: true },
      'the answer has the old one',
    )
    t.strictSame((await mailsTo(ada.email)).length, 0, 'there is nothing to tell yet')
    t.equal((await signIn(ada.email, ada.password)).status, 200)
    isAnswer(t, await signIn(email, ada.password), 400, 'Incorrect email or password')
    const [link] = await linksAt(email)
    isAnswer(t, await confirm(link), 200, { message: 'Email verified successfully' })
    t.match(await read(ada), { email, is_verified: true })
    isAnswer(t, await confirm(link), 400, INVALID, 'once')
    const [token] = await undosAt(ada.email)
    isAnswer(t, await undo(token), 200, RESTORED)
    t.match(await read(ada), { email: ada.email, is_verified: true })
  })

  await t.test(
    'only the last one that was asked for counts, and asking for the old one forgets it',
    async (t) => {
      const ada = await service.person()
      const [first, second] = [address(), address()]
      await move(ada, first)
      await move(ada, second)
      isAnswer(t, await confirm((await linksAt(first))[0]), 400, INVALID)
      await move(ada, ada.email)
      isAnswer(t, await confirm((await linksAt(second))[0]), 400, INVALID)
      t.match(await read(ada), { email: ada.email })
    },
  )

  await t.test(
    'a superuser’s change of the name leaves its link, and so does a link to the present address',
    async (t) => {
      const ada = await service.person()
      await call('POST', '/verify-email/resend', { body: { email: ada.email } })
      const [present] = await rows<{ token_id: string }>(
        sql`select token_id from emails where recipient = ${ada.email} and message = 'verification'`,
      )
      const email = address()
      await move(ada, email)
      await call('PATCH', `/users/${ada.id}`, { as: admin, body: { full_name: 'Ada King' } })
      const verified = { message: 'Email verified successfully' }
      isAnswer(
        t,
        await confirm(app.auth.oneTimeTokens.sign('verify_email', present!.token_id)),
        200,
        verified,
      )
      isAnswer(t, await confirm((await linksAt(email))[0]), 200, verified)
      t.match(await read(ada), { email, full_name: 'Ada King' })
    },
  )

  await t.test('a change of password and a deletion forget it', async (t) => {
    const ada = await service.person()
    await move(ada, address())
    const body = { current_password: ada.password, new_password: NEW_PASSWORD }
    t.equal((await call('PATCH', '/users/me/password', { as: ada, body })).status, 200)
    const pending = sql`select pending_email from users where id = ${ada.id}`
    t.strictSame(await rows(pending), [{ pending_email: null }])
    // Its row stays for as long as it takes to remove what belongs to it.
    const deletion = [...statements.values()].find(({ name }) => name === 'delete user')
    t.match(deletion?.text, 'pending_email = null')
  })

  await t.test(
    'one that is in use is refused at once, and one that is taken meanwhile when it is confirmed',
    async (t) => {
      const [ada, bob] = [await service.person(), await service.person()]
      isAnswer(t, await move(ada, bob.email), 409, 'User with this email already exists')
      const email = address()
      await move(ada, email)
      const other = await service.person({ email })
      const [link] = await linksAt(email)
      isAnswer(t, await confirm(link), 409, 'User with this email already exists')
      await call('DELETE', `/users/${other.id}`, { as: admin })
      isAnswer(t, await confirm(link), 200, { message: 'Email verified successfully' })
    },
  )

  await t.test('a superuser’s change counts at once, and ends what was asked for', async (t) => {
    const ada = await service.person()
    const [asked, set] = [address(), address()]
    await move(ada, asked)
    await call('PATCH', `/users/${ada.id}`, { as: admin, body: { email: set } })
    t.match(await read(ada), { email: set })
    isAnswer(t, await confirm((await linksAt(asked))[0]), 400, INVALID)
    t.strictSame(await rows(sql`select pending_email from users where id = ${ada.id}`), [
      { pending_email: null },
    ])
  })
})
