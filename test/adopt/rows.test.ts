import { execFileSync } from 'node:child_process'
import { getTableName } from 'drizzle-orm'
import { test } from 'tap'
import { adopt } from '../../src/adopt/adopt.ts'
import { needsPostgres } from '../support/database.ts'
import { expected, ownTables, templateDatabase } from './support/template.ts'

interface UserRow {
  readonly id: string
  readonly email: string
  readonly is_active: boolean
  readonly is_superuser: boolean
  readonly full_name: string | null
  readonly hashed_password: string
  readonly created_at: Date | null
}

const OLD_TIMER = 'old-timer@example.com'
const COLUMNS = 'id, email, is_active, is_superuser, full_name, hashed_password, created_at'

/** What had no time before is compared without. */
const withTime = <Row extends { created_at: Date | null }>(row: Row, hadNone: boolean) =>
  Object.assign(row, hadNone && { created_at: null })

void test(
  'an adoption keeps ids, addresses, flags, names, hashes, and times to the millisecond',
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(t)
    const before = await database.rows<UserRow>(`select ${COLUMNS} from "user" order by id`)
    await database.adopt()
    const after = await database.rows<UserRow>(`select ${COLUMNS} from users order by id`)
    const renamed = (email: string) => (email === 'twice@example.com' ? 'twice+2@example.com' : email)
    t.strictSame(
      after.map((row) => withTime(row, row.email === OLD_TIMER)),
      before.map((row) => Object.assign(row, { email: renamed(row.email) })),
    )
  },
)

void test('an adoption keeps items with their owners and times', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  const columns = 'id, title, description, owner_id, created_at'
  const before = await database.rows<{ title: string; created_at: Date }>(
    `select ${columns} from item order by id`,
  )
  await database.adopt()
  const after = await database.rows<{ title: string; created_at: Date }>(
    `select ${columns} from items order by id`,
  )
  t.equal(after.length, expected.items.length)
  t.strictSame(
    after.map((row) => withTime(row, row.title === 'older than time')),
    before,
  )
})

void test(
  'rows without created_at come before all others, in the order in which they were written',
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(
      t,
      `insert into item (id, title, owner_id) select gen_random_uuid(), 'undated ' || n, 'd93b832a-394c-4fdf-add9-fee1b7ceac1b'
     from generate_series(1, 3) n`,
    )
    await database.adopt()
    const titles = await database.rows<{ title: string }>(
      'select title from items order by created_at, id limit 4',
    )
    t.strictSame(
      titles.map(({ title }) => title),
      ['older than time', 'undated 1', 'undated 2', 'undated 3'],
    )
    const [user] = await database.rows<{ email: string }>(
      'select email from users order by created_at, id limit 1',
    )
    t.equal(user?.email, OLD_TIMER)
  },
)

void test('a database of an early revision, without created_at, is adopted', needsPostgres, async (t) => {
  const database = await templateDatabase(
    t,
    `alter table "user" drop created_at; alter table item drop created_at; update alembic_version set version_num = '1a31ce608336'`,
  )
  const lines = await database.adopt()
  t.match(lines.join('\n'), 'without created_at: 20 users, 18 items')
  const [found] = await database.rows<object>(
    'select count(distinct created_at)::int, bool_and(created_at < now()) as is_past from items',
  )
  t.strictSame(found, { count: 18, is_past: true })
})

void test('the old tables stay under other names, with what they held', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  const [users, items] = [
    await database.rows('select * from "user"'),
    await database.rows('select * from item'),
  ]
  await database.adopt()
  t.strictSame(await database.rows('select * from template_user'), users)
  t.strictSame(await database.rows('select * from template_item'), items)
  await database.sql.unsafe('drop table template_item, template_user')
})

void test(
  'an adopted database has the tables, indexes and keys of one that was migrated',
  needsPostgres,
  async (t) => {
    const adopted = await templateDatabase(t, 'drop extension "uuid-ossp"')
    await adopted.adopt()
    await adopted.sql.unsafe('drop table template_item, template_user, alembic_version')
    const fresh = await templateDatabase(
      t,
      'drop table item, "user", alembic_version; drop extension "uuid-ossp"',
    )
    const { connectPostgres } = await import('../../src/database/postgres.ts')
    const connection = connectPostgres({ url: fresh.url, migrationUrl: fresh.url, poolSize: 2 })
    await connection.migrate()
    await connection.close()
    t.equal(schemaOf(adopted.url), schemaOf(fresh.url))
  },
)

const schemaOf = (url: string) =>
  execFileSync('pg_dump', ['--schema-only', '--schema=public', url])
    .toString()
    .replaceAll(/^\\(?:un)?restrict .*$/gm, '')

void test('each adopted user has a row in the audit, which says so', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  await database.adopt()
  const found = await database.rows<object>(
    `select count(distinct subject_id)::int, event, outcome, details from audit_events join users on users.id = subject_id group by 2, 3, 4`,
  )
  t.strictSame(found, [{ count: 20, event: 'user_created', outcome: 'success', details: { by: 'adoption' } }])
})

void test(
  'hashes that can be compared with no password here are told, and those users have none where they had none',
  needsPostgres,
  async (t) => {
    const person = (name: string, hash: string) =>
      `insert into "user" values ('${name}@example.com', true, false, null, ${hash}, gen_random_uuid(), now());`
    const bcrypt = (cost: number) => `'$2b$${cost}$' || repeat('a', 53)`
    const database = await templateDatabase(
      t,
      `alter table "user" alter hashed_password drop not null;
       ${person('google', 'null')} ${person('django', `'pbkdf2_sha256$600000$salt$' || repeat('a', 43) || '='`)}
       ${person('slow', bcrypt(20))} ${person('quick', bcrypt(11))} ${person('old', `md5('x')`)} ${person('crypt', `'{CRYPT}xyz'`)}`,
    )
    const text = (await database.adopt()).join('\n')
    t.match(text, /^passwords: argon2id 14, bcrypt 6, /m)
    t.match(
      text,
      /^these can't be compared here, .*: another kind 2, bcrypt 1, none 1; their users ask for a recovery link$/m,
    )
    const [google] = await database.rows(
      `select hashed_password from users where email = 'google@example.com'`,
    )
    t.strictSame(google, { hashed_password: '' })
  },
)

void test('a list counts what was adopted at once, as it was analysed', needsPostgres, async (t) => {
  const database = await templateDatabase(t)
  await database.adopt()
  const estimates = await database.rows<object>(
    `select relname, reltuples::int from pg_class where relname in ('users', 'items', 'sessions') order by 1`,
  )
  t.strictSame(estimates, [
    { relname: 'items', reltuples: 18 },
    { relname: 'sessions', reltuples: 19 },
    { relname: 'users', reltuples: 20 },
  ])
})

void test(
  "foreign keys of one's own tables follow to users and items, with all that they say",
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(
      t,
      `create schema shop;
     create table note (id int primary key, author uuid references "user" on delete cascade, about uuid references item (id) on delete set null);
     create table shop.orders (id int primary key, buyer uuid references public."user" (id) deferrable initially deferred not null);
     insert into note values (1, '9aa2a854-b4f8-427e-ba44-e3daeee624a6', '69b0c5e0-3c90-4183-9462-72234d7753d3');
     insert into shop.orders values (1, '1219a108-9fb5-4ed0-94a3-5abd5220afa9')`,
    )
    const lines = await database.adopt()
    t.match(lines.join('\n'), 'note_author_fkey of note leads to users')
    const keys = await database.rows<{ text: string }>(
      `select pg_get_constraintdef(oid) as text from pg_constraint where contype = 'f' and conrelid in ('note'::regclass, 'shop.orders'::regclass) order by 1`,
    )
    t.strictSame(
      keys.map(({ text }) => text),
      [
        'FOREIGN KEY (about) REFERENCES items(id) ON DELETE SET NULL',
        'FOREIGN KEY (author) REFERENCES users(id) ON DELETE CASCADE',
        'FOREIGN KEY (buyer) REFERENCES users(id) DEFERRABLE INITIALLY DEFERRED',
      ],
    )
    await database.sql`delete from items where id = '69b0c5e0-3c90-4183-9462-72234d7753d3'`
    t.strictSame(await database.rows('select about from note'), [{ about: null }])
    await database.sql`delete from users where id = '9aa2a854-b4f8-427e-ba44-e3daeee624a6'`
    t.strictSame(await database.rows('select id from note'), [], 'they go with their author')
  },
)

void test(
  "columns, views and triggers of one's own are named, and stay with the old tables",
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(
      t,
      `create table team (id int primary key);
     insert into team values (1);
     alter table "user" add phone text default '1', add team int references team default (1);
     create view people as select email from "user"`,
    )
    const text = (await database.adopt()).join('\n')
    t.match(text, 'columns of yours that stay in template_user alone: phone, team')
    t.match(text, 'yours, and not moved: view people')
    await database.sql`delete from team`
    t.pass('the old table holds nothing back')
  },
)

void test(
  'of addresses that differ by case alone, superusers keep theirs, then who has more, then the older',
  needsPostgres,
  async (t) => {
    const person = (email: string, superuser: boolean, at: string) =>
      `insert into "user" (id, email, is_active, is_superuser, hashed_password, created_at)
     values (gen_random_uuid(), '${email}', true, ${superuser}, '!', ${at});`
    const database = await templateDatabase(
      t,
      person('Root@example.com', false, `'2020-01-01'`) +
        person('root@example.com', true, `'2021-01-01'`) +
        person('Many@example.com', false, `'2020-01-01'`) +
        person('many@example.com', false, `'2021-01-01'`) +
        person('MANY@example.com', false, 'null') +
        person('many+2@example.com', false, `'2021-01-01'`) +
        person('Old@example.com', false, `'2021-01-01'`) +
        person('old@example.com', false, `'2020-01-01'`) +
        `insert into item (id, title, owner_id) select gen_random_uuid(), 'one', id from "user" where email = 'many@example.com'`,
    )
    const text = (await database.adopt()).join('\n')
    for (const line of [
      /^new address: Root@example.com \(.*\) signs in as Root\+2@example.com/m,
      /^new address: MANY@example.com \(.*\) signs in as MANY\+3@example.com/m,
      /^new address: Many@example.com \(.*\) signs in as Many\+4@example.com/m,
      /^new address: Old@example.com \(.*\) signs in as Old\+2@example.com/m,
    ])
      t.match(text, line)
    const kept = await database.rows<{ email: string }>(
      `select email from users where email in ('root@example.com', 'many@example.com', 'old@example.com', 'Twice@example.com') order by 1`,
    )
    t.equal(kept.length, 4)
  },
)

void test(
  'where items are no resource any more, the table of the template stays, as one of yours',
  needsPostgres,
  async (t) => {
    const database = await templateDatabase(t)
    const options = { dryRun: false, rename: true, bridge: true, bridgeOff: false, tokenDays: 8 }
    const tables = ownTables.filter((table) => getTableName(table) !== 'items')
    await adopt(database.url, tables, options, () => undefined)
    t.strictSame(await database.rows('select count(*)::int from item'), [{ count: 18 }])
    const [key] = await database.rows<{ text: string }>(
      `select pg_get_constraintdef(oid) as text from pg_constraint where conname = 'item_owner_id_fkey'`,
    )
    t.equal(key?.text, 'FOREIGN KEY (owner_id) REFERENCES users(id) ON DELETE CASCADE')
  },
)
