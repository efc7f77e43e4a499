import { execFileSync } from 'node:child_process'
import postgres from 'postgres'
import { type Test, test } from 'tap'
import type { AdoptionOptions } from '../../src/adopt/adopt.ts'
import { adoptionFault } from '../../src/adopt/faults.ts'
import { adopt } from '../../src/adopt/adopt.ts'
import { connectPostgres } from '../../src/database/postgres.ts'
import { needsPostgres } from '../support/database.ts'
import { type TemplateDatabase, ownTables, templateDatabase } from './support/template.ts'

const dump = ({ url }: Pick<TemplateDatabase, 'url'>) =>
  execFileSync('pg_dump', [url])
    .toString()
    .replaceAll(/^\\(?:un)?restrict .*$/gm, '')

/** What an adoption says that is refused; it leaves the database as it was. */
async function refusal(t: Test, database: TemplateDatabase, options: Partial<AdoptionOptions> = {}) {
  const before = dump(database)
  const error = await database.adopt(options).then(
    () => undefined,
    (error: unknown) => error,
  )
  t.equal(dump(database), before, 'nothing was changed')
  return error === undefined ? 'it was adopted' : adoptionFault(error, undefined)
}

void test('a dry run says what an adoption would do, and changes nothing', needsPostgres, async (t) => {
  const database = await templateDatabase(
    t,
    'create table note (id int primary key, author uuid references "user")',
  )
  const before = dump(database)
  const text = (await database.adopt({ dryRun: true })).join('\n')
  t.equal(dump(database), before)
  for (const line of [
    'revision fe56fa70289e of the template',
    'users: 20 rows, 1 inactive, 2 superusers',
    'passwords: argon2id 14, bcrypt 5, argon2i 1',
    'items: 18 rows',
    'without created_at: 1 user, 1 item',
    'or with more than 64 characters before the @: 3, kept as they are',
    'twice@example.com (677924f9-c623-4c14-85df-198532b3583e) signs in as twice+2@example.com',
    'foreign key: note_author_fkey of note will lead to users',
    'locked meanwhile, for about 1 s: "user", "item", note',
    'disk: about 1 MB more',
  ])
    t.match(text, line)
})

void test(
  'a domain in Unicode and the same in ASCII are one address, which is told, or renamed',
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(
      t,
      `insert into "user" values ('Info@xn--exmple-cua.com', true, false, null, '', '5f0f1f5c-8a0e-4f0e-9a38-0f5a3c1d2e4b', now()),
        ('info+2@xn--exmple-cua.com', true, false, null, '', gen_random_uuid(), now())`,
    )
    const text = await refusal(t, database, { rename: false })
    t.match(text, /or by how their domain is written.*\n +info@exämple\.com .*\n +Info@xn--exmple-cua\.com /)
    t.match(
      (await database.adopt()).join('\n'),
      'Info@xn--exmple-cua.com (5f0f1f5c-8a0e-4f0e-9a38-0f5a3c1d2e4b) signs in as Info+3@xn--exmple-cua.com',
    )
  },
)

void test('an adoption that is repeated changes nothing', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  await database.adopt()
  const before = dump(database)
  for (const dryRun of [false, true]) {
    const lines = await database.adopt({ dryRun })
    t.match(lines.join('\n'), /^Database \w+ was adopted at 20\S+Z; its rows are left as they are\.$/)
  }
  t.equal(dump(database), before)
})

void test('two adoptions at once are one', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  const reports = await Promise.all([database.adopt(), database.adopt()])
  const texts = reports.map((lines) => lines.at(-1) ?? '').toSorted((one, other) => one.localeCompare(other))
  t.match(texts[0], 'Adopted. The tables were locked for')
  t.match(texts[1], 'was adopted at')
})

void test(
  'addresses that differ by case alone are listed, and refused without --rename',
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(t)
    const said = await refusal(t, database, { rename: false })
    t.match(said, 'let --rename give all but the first')
    t.match(said, /Twice@example\.com \(e45f53ff-\S+, 1 item, 2026-11-28\S+\)\n.*twice@example\.com/)
    t.match(await refusal(t, database, { rename: false, dryRun: true }), 'Twice@example.com')
  },
)

for (const [what, more, expected] of [
  [
    'a revision whose ids are numbers',
    'alter table item drop owner_id; alter table "user" drop id; alter table "user" add id serial primary key; alter table item add owner_id int',
    /"user" \(at revision fe56fa70289e\) has ids of type integer: bring the template to 1a31ce608336/,
  ],
  [
    "a table that is no template's",
    'alter table "user" rename is_superuser to is_admin',
    /has no is_superuser: it is no table/,
  ],
  [
    'a table of the same name as one of ours',
    'create table sessions (id int)',
    /sessions is the name of a table or index of this service: rename yours first/,
  ],
  [
    'what an earlier adoption left',
    'create table template_user (id int)',
    /template_user is there already: drop or rename/,
  ],
  [
    'a key to something else than the id',
    'create table note (author varchar references "user" (email))',
    /note_author_fkey of note refers to something else than the id/,
  ],
  [
    'a text that is too long here',
    `alter table item alter title type text; update item set title = repeat('x', 256) where title = 'of twice'`,
    /item 247895c0-\S+: a text of more than 255 characters/,
  ],
] as const)
  void test(`${what} is refused with the fix, and nothing is changed`, needsPostgres, async (t) => {
    t.match(await refusal(t, await templateDatabase(t, more)), expected)
  })

void test('a database without a template is refused', needsPostgres, async (t) => {
  const database = await templateDatabase(t, 'drop table item, "user"')
  t.match(await refusal(t, database), /there is no table "user" of a FastAPI template in database test_/)
})

void test(
  'a database in which the service has rows already is refused; empty tables are filled',
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(t, 'alter table "user" rename to later')
    const connection = connectPostgres({ url: database.url, migrationUrl: database.url, poolSize: 2 })
    await connection.migrate()
    await connection.close()
    await database.sql.unsafe(
      `alter table later rename to "user"; insert into users (email, hashed_password) values ('early@example.com', '!')`,
    )
    t.match(await refusal(t, database), 'this service has rows here already (1 in users)')
    await database.sql`truncate users cascade`
    await database.adopt()
    t.strictSame(await database.rows('select count(*)::int from users'), [{ count: 20 }])
  },
)

void test('a database that does not exist is named', needsPostgres, async (t) => {
  const url = Object.assign(new URL(process.env.TEST_DATABASE_URL!), { pathname: '/nowhere' }).href
  const options = { dryRun: true, rename: false, bridge: false, bridgeOff: false, tokenDays: 8 }
  const error: unknown = await adopt(url, ownTables, options, () => undefined).catch(
    (error: unknown) => error,
  )
  t.match(adoptionFault(error, undefined), /3D000.*"nowhere" does not exist/)
})

void test(
  'a role that owns not all of the tables is refused, with the one to use',
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(
      t,
      'create role adopter login; grant all on all tables in schema public to adopter',
    )
    t.teardown(async () => {
      await database.sql.unsafe('drop owned by adopter; drop role adopter')
    })
    const url = Object.assign(new URL(database.url), { username: 'adopter' }).href
    const options = { dryRun: true, rename: true, bridge: false, bridgeOff: false, tokenDays: 8 }
    const error: unknown = await adopt(url, ownTables, options, () => undefined).catch(
      (error: unknown) => error,
    )
    const said = adoptionFault(error, undefined)
    t.match(said, 'adopter owns not all of "user", "item": run this as postgres')
    t.match(said, 'adopter may create no tables, or no schema: grant create on schema public to adopter')
  },
)

void test('a session that holds a lock is named, after five seconds', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  const other = postgres(database.url, { max: 1, connection: { application_name: 'uvicorn' } })
  const reserved = await other.reserve()
  t.teardown(async () => {
    reserved.release()
    await other.end({ timeout: 1 })
  })
  await reserved.unsafe('begin')
  await reserved.unsafe('select from item limit 1')
  const said = await refusal(t, database)
  t.match(said, /other sessions use the tables for longer than 5s/)
  t.match(said, /uvicorn of role postgres .*idle in transaction.*pg_terminate_backend\(\d+\)/)
  await reserved.unsafe('rollback')
  await database.adopt()
})

void test(
  "a bridge is refused where the template's backend has columns that are not here",
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(t, 'alter table "user" add phone text')
    t.match(
      await refusal(t, database, { bridge: true }),
      /--bridge: .* columns that have no place here: phone/,
    )
    await database.adopt()
    t.match(
      await refusal(t, database, { bridge: true }),
      /--bridge: .* columns that have no place here: phone/,
    )
  },
)
