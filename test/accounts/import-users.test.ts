import { EventEmitter, once } from 'node:events'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { BATCH, type ImportOptions, importUsers } from '../../src/accounts/import/import-users.ts'
import { passwords } from '../../src/accounts/passwords/passwords.ts'
import { isAnswer } from '../support/answers.ts'
import { PASSWORD, digests, hashes } from '../support/other-hashes.ts'
import { needsPostgres } from '../support/database.ts'
import { type Service, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const known = { hashed_password: hashes['bcrypt 2b'] }

/** Imports rows, or lines as they are. Faults are by line. */
async function run(
  t: Test,
  { app }: Service,
  rows: readonly unknown[],
  options: Partial<ImportOptions> = {},
) {
  const text = rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n')
  const hashing = passwords({ cost: { memoryCost: 8, timeCost: 1, parallelism: 1 }, waiting: 2_000 })
  t.teardown(() => hashing.close())
  const faults: Record<number, string> = {}
  const result = await importUsers(
    { db: app.db, config: app.config, passwords: hashing },
    inChunks(Buffer.from(text)),
    { isDryRun: false, takesPart: false, recovers: false, ...options },
    { onFault: (line, fault) => void (faults[line] = fault), onProgress: () => undefined },
  )
  return { ...result, faults }
}

/** Lines and letters are torn apart. */
async function* inChunks(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 7_001) yield bytes.subarray(at, at + 7_001)
}

const userOf = async ({ rows }: Service, email: string) =>
  (await rows<Record<string, unknown>>(sql`select * from users where email = ${email}`))[0]
const countOf = async ({ rows }: Service) =>
  (await rows<{ count: number }>(sql`select count(*)::integer as count from users`))[0]!.count

void test('users of another system are imported', async (t) => {
  const service = await startService(t)
  const { rows, signIn, call, admin } = service

  await t.test(
    'an imported user keeps id, name, state and time, and signs in with the old password',
    async (t) => {
      const ada = {
        id: '0b0e7c0e-0000-4000-8000-00000000ada0',
        email: 'Ada@example.com',
        full_name: 'Ada',
        is_verified: true,
        created_at: '2019-05-01T12:00:00+02:00',
      }
      t.match(await run(t, service, [{ ...ada, ...known }]), { isImported: true, good: 1, faulty: 0 })
      const { body } = await call('GET', `/users/${ada.id}`, { as: admin })
      t.match(body, {
        ...ada,
        created_at: '2019-05-01T10:00:00.000Z',
        is_active: true,
        is_superuser: false,
      })
      t.equal((await signIn('ada@example.com', PASSWORD)).status, 200)
      t.match((await userOf(service, ada.email))?.hashed_password, /^\$argon2id\$/, 'renewed')
    },
  )

  await t.test('a byte order mark before the first line is no part of it', async (t) => {
    const first = `\uFEFF${JSON.stringify({ email: 'bom@example.com', ...known })}`
    t.match(await run(t, service, [first]), { isImported: true, good: 1, faulty: 0 })
  })

  await t.test('one who is not active stays so', async (t) => {
    await run(t, service, [{ email: 'off@example.com', is_active: false, ...known }])
    isAnswer(t, await signIn('off@example.com', PASSWORD), 400, 'Inactive user')
  })

  await t.test('an unsalted hash is never stored, and its user signs in', async (t) => {
    for (const [digest, hash] of Object.entries(digests)) {
      const email = `${digest}@example.com`
      await run(t, service, [{ email, hashed_password: hash.toUpperCase() }])
      const stored = String((await userOf(service, email))?.hashed_password)
      t.ok(stored.startsWith(`$hex-${digest}$argon2id$`), stored)
      t.notOk(stored.toLowerCase().includes(hash))
      isAnswer(t, await signIn(email, 'wrong horse'), 400, 'Incorrect email or password')
      t.equal((await signIn(email, PASSWORD)).status, 200)
      t.match((await userOf(service, email))?.hashed_password, /^\$argon2id\$/, 'renewed')
    }
  })

  await t.test('each import is in the audit of its user, and nobody is mailed', async (t) => {
    await run(t, service, [{ email: 'seen@example.com', ...known }])
    const { id } = (await userOf(service, 'seen@example.com'))!
    const events = await rows(sql`select event, actor_id, details from audit_events where subject_id = ${id}`)
    t.strictSame(events, [{ event: 'user_created', actor_id: null, details: { by: 'import' } }])
    t.strictSame(await rows(sql`select from emails where recipient = 'seen@example.com'`), [])
    const { body } = await call('GET', `/audit/?event=user_created&subject_id=${String(id)}`, { as: admin })
    t.match(body.data[0], { event: 'user_created' })
  })

  await t.test('a user without a known hash is a fault, or recovers by mail where told so', async (t) => {
    const lost = [
      { email: 'md5crypt@example.com', hashed_password: '$1$salt$hash' },
      { email: 'none@example.com' },
    ]
    t.match(await run(t, service, lost), {
      isImported: false,
      faults: {
        1: 'hashed_password: none, or of no known kind',
        2: 'hashed_password: none, or of no known kind',
      },
    })
    t.match(await run(t, service, lost, { recovers: true }), { isImported: true, good: 2 })
    for (const { email } of lost) {
      t.equal((await userOf(service, email))?.hashed_password, '')
      isAnswer(t, await signIn(email, ''), 400, 'Incorrect email or password')
      const mails = await rows<{ message: string; token_id: string }>(
        sql`select message, token_id from emails where recipient = ${email}`,
      )
      t.match(mails, [{ message: 'recovery' }])
      const token = service.app.auth.oneTimeTokens.sign('reset_password', mails[0]!.token_id)
      const reset = await call('POST', '/reset-password/', { body: { token, new_password: PASSWORD } })
      t.equal(reset.status, 200)
      t.equal((await signIn(email, PASSWORD)).status, 200)
    }
  })
})

void test('what is wrong with a line is told with its number and field, and never its values', async (t) => {
  const service = await startService(t)
  const long = 'x'.repeat(256)
  const lines: [unknown, RegExp][] = [
    ['nonsense', /^not a JSON object$/],
    ['[]', /^not a JSON object$/],
    [`{"email": "${'x'.repeat(17_000)}"}`, /^longer than 16384 bytes$/],
    [{ ...known }, /^email: missing$/],
    [{ email: 5, ...known }, /^email: not text$/],
    [{ email: 'no address', ...known }, /^email: not an email address$/],
    [{ email: `${long}@example.com`, ...known }, /^email: not an email address$/],
    [{ email: 'a@example.com', is_superuser: true, ...known }, /^is_superuser: no field of a user$/],
    [{ email: 'a@example.com', '\u001B[2J': 1, ...known }, /^\?\[2J: no field of a user$/],
    ['{"email": "a@example.com", "__proto__": {"is_superuser": true}}', /^__proto__: no field of a user$/],
    [{ email: 'b@example.com', is_active: 'yes', ...known }, /^is_active: not true or false$/],
    [{ email: 'c@example.com', id: '7', ...known }, /^id: not a UUID$/],
    [{ email: 'd@example.com', full_name: long, ...known }, /^full_name: longer/],
    [{ email: 'e@example.com', full_name: 'a\0b', ...known }, /^full_name: longer .* or no text$/],
    [{ email: 'f@example.com', created_at: '2026-02-30T00:00:00Z', ...known }, /^created_at: not a time/],
    [{ email: 'g@example.com', created_at: 'yesterday', ...known }, /^created_at: not a time/],
    [
      { email: 'h@example.com', hashed_password: '$2b$05$short' },
      /^hashed_password: not a well-formed hash of bcrypt$/,
    ],
    [
      {
        email: 'i@example.com',
        hashed_password: '$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo',
      },
      /cost too much$/,
    ],
  ]
  const { faults, ...result } = await run(
    t,
    service,
    lines.map(([line]) => line),
  )
  t.match(result, { isImported: false, lines: lines.length, faulty: lines.length, good: 0 })
  for (const [at, [, fault]] of lines.entries()) t.match(faults[at + 1], fault, `line ${at + 1}`)
})

void test('addresses and ids that are in use are told, and nothing is imported', async (t) => {
  const service = await startService(t)
  const bob = await service.person({ email: 'bob@example.com' })
  await service.rows(sql`insert into users (email, hashed_password) values ('info@exämple.com', '')`)
  const id = '0b0e7c0e-0000-4000-8000-000000000001'
  const before = await countOf(service)
  const filler = Array.from({ length: 1_200 }, (_, at) => ({ email: `filler${at}@example.com`, ...known }))
  const { faults, isImported } = await run(t, service, [
    { email: 'BOB@example.com', ...known },
    { email: 'bobby@example.com', id: bob.id.toUpperCase(), ...known },
    { email: 'info@xn--exmple-cua.com', ...known },
    { email: 'eve@exämple.org', id, ...known },
    { email: 'Eve@xn--exmple-cua.org', ...known },
    { email: 'mallory@example.com', id, ...known },
    '',
    ...filler,
    { email: 'Filler1@example.com', ...known },
    { email: 'trudy@example.com', id, ...known },
  ])
  t.strictSame(faults, {
    1: 'email: in use',
    2: 'id: in use',
    3: 'email: in use',
    5: 'email: of an earlier line',
    6: 'id: of an earlier line',
    1208: 'email: of an earlier line',
    1209: 'id: of an earlier line',
  })
  t.equal(isImported, false)
  t.equal(await countOf(service), before)
})

void test(
  'a sign-up with an address that is being imported waits, and finds it taken',
  needsPostgres,
  async (t) => {
    const service = await startService(t)
    const gate = new EventEmitter()
    const [begun, end] = [once(gate, 'begun'), once(gate, 'end')]
    async function* slowly() {
      for (let line = 0; line < BATCH; line += 1)
        yield Buffer.from(`${JSON.stringify({ email: `user${line}@example.com`, ...known })}\n`)
      await end
    }
    const hashing = passwords()
    t.teardown(() => hashing.close())
    const imported = importUsers(
      { db: service.app.db, config: service.app.config, passwords: hashing },
      slowly(),
      { isDryRun: false, takesPart: false, recovers: false },
      { onFault: () => undefined, onProgress: () => void gate.emit('begun') },
    )
    await begun
    const body = { email: 'USER7@example.com', password: 'correct horse battery' }
    const signUp = service.call('POST', '/users/signup', { body })
    await until(async () => {
      const waiting = await service.rows(sql`select from pg_locks where not granted`)
      return waiting.length > 0
    })
    gate.emit('end')
    t.match(await imported, { isImported: true, good: BATCH })
    isAnswer(t, await signUp, 400, 'The user with this email already exists in the system')
  },
)

void test('the good lines are imported alone where that is asked for', async (t) => {
  const service = await startService(t)
  const lines = [{ email: 'good@example.com', ...known }, 'nonsense', { email: 'good@example.com', ...known }]
  const result = await run(t, service, lines, { takesPart: true })
  t.match(result, { isImported: true, good: 1, faulty: 2 })
  t.ok(await userOf(service, 'good@example.com'))
})

void test('a dry run imports nobody, and finds what an import would', async (t) => {
  const service = await startService(t)
  const before = await countOf(service)
  const lines = [
    { email: 'x@example.com', hashed_password: digests.md5 },
    { email: 'X@example.com', ...known },
  ]
  const result = await run(t, service, lines, { isDryRun: true, takesPart: true })
  t.match(result, { isImported: false, good: 1, faulty: 1, faults: { 2: 'email: of an earlier line' } })
  t.equal(await countOf(service), before)
  t.strictSame(await service.rows(sql`select from audit_events where details ->> 'by' = 'import'`), [])
})
