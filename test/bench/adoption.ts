import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import postgres, { type Sql } from 'postgres'
import { createDatabase } from '../support/database.ts'
import { startPostgres } from '../support/postgres.ts'
import { part, printTable, row } from './report.ts'

/**
 * `npm run bench:adopt`: how long it takes to adopt a template's database of 10^5 users and 10^6 items, how long its backend
 * waits meanwhile, and what it needs. `-- --users 10000 --items 100000` for less. Linux only, as memory is read from /proc.
 */
const { values } = parseArgs({
  options: { users: { type: 'string', default: '100000' }, items: { type: 'string', default: '1000000' } },
})
const [users, items] = [Number(values.users), Number(values.items)]

const SCHEMA = readFileSync(new URL('../adopt/template/schema.sql', import.meta.url), 'utf8')
const HASH =
  '$argon2id$v=19$m=65536,t=3,p=4$jVTk5Fyv/C7lH9E3fgBHnA$BMuSxFl4O7SbjDb8NjBNFymexaXocjZZCjbHOJDZEnM'

async function seed(sql: Sql) {
  await sql.unsafe(SCHEMA)
  await sql`insert into alembic_version values ('fe56fa70289e')`
  await sql`insert into "user" (id, email, is_active, is_superuser, full_name, hashed_password, created_at)
    select gen_random_uuid(), 'person' || n || '@example.com', true, n = 1, 'Person ' || n, ${HASH}, now() - n * interval '1 minute'
    from generate_series(1, ${users}::int) n`
  // Own tables follow: one that refers to every tenth item.
  await sql`insert into item (id, title, description, owner_id, created_at)
    select gen_random_uuid(), 'Title of ' || md5(n::text), md5(n::text) || md5((-n)::text), owners.ids[1 + n % ${users}::int],
      now() - n * interval '1 second'
    from generate_series(1, ${items}::int) n, (select array_agg(id) as ids from "user") owners`
  await sql`create table note (id bigint generated always as identity primary key, item_id uuid not null references item (id))`
  await sql`insert into note (item_id) select id from item tablesample system (10)`
  await sql`analyze`
}

/** Reads as the template's backend does, again and again. @returns what ends it, and gives the longest wait in ms */
function probe(url: string) {
  const sql = postgres(url, { max: 1 })
  let longest = 0
  const over = new AbortController()
  const probing = (async () => {
    while (!over.signal.aborted) {
      const start = performance.now()
      await sql`select count(*) from (select from item limit 1) one`
      longest = Math.max(longest, performance.now() - start)
      await pause(20)
    }
    await sql.end()
  })()
  return async () => {
    over.abort()
    await probing
    return longest
  }
}

/** Runs the command, and gives what it said, how long it took, and its most memory in MB. */
async function run(url: string) {
  const env = { PATH: process.env.PATH, DATABASE_URL: url, ENVIRONMENT: 'local' }
  const start = performance.now()
  const child = spawn(process.execPath, ['dist/scripts/adopt.js', '--bridge'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let [text, memory] = ['', 0]
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const timer = setInterval(() => (memory = Math.max(memory, peakOf(child.pid!))), 50)
  const [code] = (await once(child, 'close')) as [number]
  clearInterval(timer)
  if (code !== 0) throw new Error(`adopt: ${code} ${text}`)
  return { text, seconds: (performance.now() - start) / 1000, memory }
}

function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}

execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'ignore' })
const server = await startPostgres({ shared_buffers: '512MB', max_wal_size: '4GB' })
try {
  const url = await createDatabase(server.url)
  const sql = postgres(url, { max: 1, onnotice: () => undefined })
  await seed(sql)
  const sizeOf = async () =>
    Number((await sql`select pg_database_size(current_database()) as bytes`)[0]?.bytes) / 2 ** 20
  const before = await sizeOf()
  const longestWait = probe(url)
  const { text, seconds, memory } = await run(url)
  const waited = await longestWait()
  part(`Adoption of ${users.toLocaleString('en')} users and ${items.toLocaleString('en')} items`)
  row('from its start to its end', `${seconds.toFixed(1)} s`)
  row('the tables were locked', `${/locked for ([\d.]+) s/.exec(text)?.[1]} s`)
  row("longest wait of the template's backend", `${(waited / 1000).toFixed(1)} s`)
  row('most memory of the process', `${memory.toFixed(0)} MB`)
  row('the database before and after', `${before.toFixed(0)} MB, ${(await sizeOf()).toFixed(0)} MB`)
  for (const [, what, took] of text.matchAll(/^ {2}(.*) \(([\d.]+) s\)$/gm))
    if (Number(took) >= 0.1) row(what!, `${took} s`)
  await sql.end()
} finally {
  await server.stop()
}
console.log(`Node ${process.version}, PostgreSQL ${server.version}, ${cpus().length} × ${cpus()[0]?.model}`)
printTable()
