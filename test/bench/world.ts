import { createHmac, randomUUID } from 'node:crypto'
import postgres from 'postgres'
import { connectPostgres } from '../../src/database/postgres.ts'
import { createDatabase } from '../support/database.ts'
import { SECRET } from './servers.ts'

/** A seeded database, and people who are signed in to it. */
export interface World {
  readonly url: string
  /** The database itself, for what only it can tell. */
  readonly sql: postgres.Sql
  /** Owner of 100 items that nobody writes. */
  readonly reader: Person
  /** A superuser. */
  readonly superuser: Person
  /** People with 100 items each, for writing. */
  readonly writers: readonly Person[]
  close(): Promise<void>
}

export interface Person {
  readonly id: string
  readonly headers: Readonly<Record<string, string>>
  /** Ids of items, for reading and changing. */
  readonly items: readonly string[]
}

export interface Size {
  readonly users: number
  readonly items: number
}

const ITEMS_EACH = 100
const WRITERS = 50

/** Makes a database of that size: of the users as many as the items suffice for have 100 each. */
export async function makeWorld(server: string, { users, items }: Size): Promise<World> {
  const url = await createDatabase(server)
  const connection = connectPostgres({ url, migrationUrl: url, poolSize: 1 })
  await connection.migrate()
  await connection.close()
  const sql = postgres(url, { max: 2, onnotice: () => undefined })
  const owners = Math.ceil(items / ITEMS_EACH)
  await sql`
    insert into users (email, hashed_password, full_name, is_superuser, created_at)
    select 'user' || n || '@example.com', 'none', 'User ' || n, n = ${users}, now() - n * interval '1 minute'
    from generate_series(1, ${users}) n`
  // In the order of time, owners mixed, as it comes about in life.
  await sql`
    with owners as (select id, row_number() over (order by created_at desc) - 1 as place from users)
    insert into items (title, description, owner_id, created_at)
    select 'Item ' || n, 'What there is to say about item ' || n, owners.id,
      now() - (${items} - n) * interval '1 second'
    from generate_series(1, ${items}) n join owners on owners.place = n % ${owners}`
  await sql`vacuum analyze`
  await sql`checkpoint`
  const ids = await sql<{ id: string }[]>`
    select id from users where not is_superuser order by created_at desc limit ${Math.min(WRITERS + 1, owners)}`
  const [{ id: superuser } = { id: '' }] = await sql<
    { id: string }[]
  >`select id from users where is_superuser`
  const people = await Promise.all(ids.map(({ id }) => signedIn(sql, id)))
  return {
    url,
    sql,
    reader: people[0]!,
    superuser: await signedIn(sql, superuser),
    writers: people.slice(1),
    close: () => sql.end(),
  }
}

/** A session by hand, and its access token: signing in would cost a hash for each. */
async function signedIn(sql: postgres.Sql, id: string): Promise<Person> {
  const session = randomUUID()
  await sql`
    insert into sessions (id, user_id, credentials_version, expires_at)
    select ${session}, id, credentials_version, now() + interval '1 day' from users where id = ${id}`
  const items = await sql<{ id: string }[]>`
    select id from items where owner_id = ${id} order by created_at desc limit ${ITEMS_EACH}`
  const headers = { authorization: `Bearer ${accessToken(id, session)}`, 'content-type': 'application/json' }
  return { id, headers, items: items.map((item) => item.id) }
}

function accessToken(sub: string, sid: string): string {
  const now = Math.floor(Date.now() / 1000)
  const parts = [
    { alg: 'HS256', typ: 'JWT' },
    { sub, sid, iat: now, exp: now + 86_400 },
  ]
  const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`
}
