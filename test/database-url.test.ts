import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import os, { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import { DatabaseUrlError, driverOptions, readDatabaseUrl } from '../src/config/database/database-url.ts'
import { openPostgres } from '../src/database/pool/open-postgres.ts'
import { readConfig } from '../src/config/config.ts'
import { startFault } from '../src/operations/start-faults.ts'
import { cert, key } from './support/certificate.ts'
import { needsPostgres } from './support/database.ts'
import { local } from './support/environments.ts'
import { osUser, startPostgres } from './support/postgres.ts'

void test('DATABASE_URL is read in the spellings of hosters, drivers and libpq', async (t) => {
  const ca = join(t.testdir({ 'ca.pem': cert }), 'ca.pem')
  const urls: [url: string, read: object][] = [
    [
      'postgresql://neondb_owner:npg_x@ep-a-pooler.eu.aws.neon.tech/neondb?sslmode=require&channel_binding=require',
      { hosts: ['ep-a-pooler.eu.aws.neon.tech'], ports: [5432], database: 'neondb', tls: 'verified' },
    ],
    [
      'postgresql://postgres.abc:p%40ss%2Fw%23rd@aws-0.pooler.supabase.com:6543/postgres',
      { user: 'postgres.abc', password: 'p@ss/w#rd', ports: [6543], tls: 'none' },
    ],
    ['postgres://u:p@h/db?sslmode=disable', { tls: 'none' }],
    ['postgres://u:p@h/db?sslmode=allow', { tls: 'where offered' }],
    ['postgres://u:p@h/db?sslmode=prefer', { tls: 'where offered' }],
    ['postgres://u:p@h/db?sslmode=require', { tls: 'encrypted' }],
    ['postgres://u:p@h/db?ssl=true', { tls: 'encrypted' }],
    ['postgres://u:p@h/db?sslmode=verify-ca', { tls: 'verified authority' }],
    ['postgres://u:p@h/db?sslmode=verify-full', { tls: 'verified' }],
    ['postgres://u:p@h/db?sslmode=verify-full&sslrootcert=system', { tls: 'verified' }],
    [`postgres://u:p@h/db?sslmode=require&sslrootcert=${ca}`, { tls: 'verified authority' }],
    ['postgresql+psycopg://u:p@h/db', { user: 'u', password: 'p', hosts: ['h'], database: 'db' }],
    ['postgresql+psycopg2://u:p@h/db', { hosts: ['h'] }],
    ['postgres+asyncpg://u:p@h/db', { hosts: ['h'] }],
    ['postgres://u:p@[2001:db8::1]:5433/db', { hosts: ['2001:db8::1'], ports: [5433] }],
    ['postgres://u:p@[::1]/db', { hosts: ['::1'], ports: [5432] }],
    ['postgres://u:p@/db?host=2001:db8::1&port=5433', { hosts: ['2001:db8::1'], ports: [5433] }],
    ['postgres://us%3Aer:p%25@h/d%20b', { user: 'us:er', password: 'p%', database: 'd b' }],
    ['postgres://u:p:q@r@h/db', { user: 'u', password: 'p:q@r', hosts: ['h'] }],
    ['postgres://u:p#q@h/db', { password: 'p#q', hosts: ['h'], database: 'db' }],
    ['postgres://a:1,b:2,c/db', { hosts: ['a', 'b', 'c'], ports: [1, 2, 5432] }],
    ['postgres://u@/db?host=a,b&port=1', { hosts: ['a', 'b'], ports: [1, 1] }],
    ['postgresql:///db?host=/run/pg', { socket: '/run/pg', database: 'db', tls: 'none' }],
    [
      'postgresql://u:p@/db?host=/cloudsql/proj:us-central1:inst',
      { socket: '/cloudsql/proj:us-central1:inst', ports: [5432], database: 'db' },
    ],
    ['postgresql://u:p@/db?host=/cloudsql/a:b:c&port=5433', { socket: '/cloudsql/a:b:c', ports: [5433] }],
    ['postgresql+asyncpg://u:p@/db?host=a:1&host=b:2', { hosts: ['a', 'b'], ports: [1, 2] }],
    ['postgresql://u@/db?host=a&host=b&port=1&port=2', { hosts: ['a', 'b'], ports: [1, 2] }],
    ['postgresql://u@%2Frun%2Fpg:5433/db', { socket: '/run/pg', ports: [5433], user: 'u' }],
    ['postgresql:///db?host=/run/pg&sslmode=require', { socket: '/run/pg', tls: 'none' }],
    ['postgresql:///db', { socket: /^\/(var\/run\/postgresql|tmp)$/, user: userInfo().username }],
    ['postgres://u@h', { database: 'u' }],
    ['postgres://h/db?user=u&password=p&dbname=other', { user: 'u', password: 'p', database: 'other' }],
    ['postgres://h/db?application_name=app&options=-cwork_mem%3D8MB&connect_timeout=10', { hosts: ['h'] }],
    ['postgres://h/db?schema=public', { hosts: ['h'] }],
    ['postgres://h/db?search_path=public&options=-c%20search_path%3Dpublic', { hosts: ['h'] }],
    ['postgres://h/db?options=-c%20TimeZone%3Dutc%20--DateStyle%3DISO,%5C%20mdy', { hosts: ['h'] }],
    ['postgres://h/db?options=endpoint%3Dep-a%20-c%20statement_timeout%3D9s', { hosts: ['h'] }],
    ['postgres://h/db?keepalives=1&keepalives_idle=30&sslmode=', { hosts: ['h'] }],
  ]
  for (const [url, read] of urls) t.match(readDatabaseUrl(url), read, url)
})

void test('keepalives of a DATABASE_URL are those of its connections', async (t) => {
  const seconds = (query: string) => driverOptions(`postgres://u@h/db?${query}`).keep_alive
  t.equal(seconds('keepalives=1&keepalives_idle=30'), 30)
  t.equal(seconds('keepalives=0&keepalives_idle=30'), 0)
  t.equal(seconds('keepalives=1'), undefined, "the driver's own")
  t.equal(openPostgres('postgres://u@h/db?keepalives_idle=30', {}).options.keep_alive, 30)
  t.notOk(openPostgres('postgres://u@h/db?keepalives=0', {}).options.keep_alive)
})

/** A connection sets search_path by itself, whatever the URL asks for. */
const NOWHERE_ELSE = /^\w+: its tables are in the schema public; leave it out, or make a database of its own$/

void test('an unusable DATABASE_URL is refused with the reason, without its password', async (t) => {
  const urls: [url: string, line: RegExp][] = [
    ['mysql://u:hidden@h/db', /postgres:\/\//],
    ['jdbc:postgresql://h/db', /postgres:\/\//],
    ['host=h dbname=db', /postgres:\/\//],
    ['postgres://u:hidden@h/db?sslmode=verify', /^sslmode must be one of disable, /],
    ['postgres://u:hidden@h/db?sslmode=REQUIRE', /^sslmode must be one of/],
    ['postgres://u:hidden@h/db?pgbouncer=true', /^pgbouncer is no parameter .* MIGRATION_DATABASE_URL$/],
    ['postgres://u:hidden@h/db?schema=app', NOWHERE_ELSE],
    ['postgres://u:hidden@h/db?search_path=app,public', NOWHERE_ELSE],
    ['postgres://u:hidden@h/db?currentSchema=app', NOWHERE_ELSE],
    ['postgres://u:hidden@h/db?options=-csearch_path%3Dapp', NOWHERE_ELSE],
    ['postgres://u:hidden@h/db?options=-cwork_mem%3D8MB%20-c%20Search-Path%3Dapp', NOWHERE_ELSE],
    ['postgres://u:hidden@h/db?options=--search_path%3Dpublic%20-csearch_path%3Dapp', NOWHERE_ELSE],
    [
      'postgres://u:hidden@h/db?options=-c%20DateStyle%3DGerman',
      /^options: DateStyle is always ISO, MDY here/,
    ],
    [
      'postgres://u:hidden@h/db?options=-cwork_mem%3D8MB%20-ctimezone%3Dhidden',
      /^options: TimeZone is always UTC/,
    ],
    [
      'postgres://u:hidden@h/db?options=--default-transaction-isolation%3Dserializable',
      /^options: default_tr/,
    ],
    ['postgres://u:hidden@h/db?require_auth=scram-sha-256', /^require_auth is no parameter .* leave it out$/],
    ['postgres://u:hidden@h/db?hasOwnProperty=1', /is no parameter/],
    ['postgres://u:hidden@h/db?sslrootcert=/nowhere/ca.pem', /^sslrootcert must be the path of a file/],
    ['postgres://u:hidden@h/db?sslrootcert=src', /^sslrootcert must be the path of a file/],
    ['postgres://u:hidden@h/db?sslrootcert=package.json', /^sslrootcert must be a file with certificates/],
    ['postgres://u:hidden@h/db?sslcert=package.json', /^sslcert and sslkey must be files in PEM/],
    ['postgres://u:hidden@h/db?sslkey=package.json', /^sslcert and sslkey must be files in PEM/],
    ['postgres://u:hidden@h/db?gssencmode=require', /^gssencmode must be one of disable, prefer$/],
    ['postgres://u:hidden@h/db?keepalives=yes', /^keepalives must be one of 0, 1$/],
    ['postgres://u:hidden@h/db?keepalives_idle=soon', /^keepalives_idle must be a number of seconds$/],
    ['postgres://u:hidden@h/db?statement_timeout=5s', /^statement_timeout .* DATABASE_TIMEOUT_MS$/],
    ['postgres://u:hidden@h/db?sslcrl=x', /^sslcrl is no parameter .* leave it out$/],
    ['postgres://u:hidden@h/db?service=x', /^service is no parameter .* leave it out$/],
    ['postgres://u:hidden@h/db?sslmode=disable&channel_binding=require', /contradicts/],
    ['postgres://u:hidden@h/db?connect_timeout=soon', /^connect_timeout must be/],
    ['postgres://u:hidden@h/db?client_encoding=latin1', /^client_encoding must be/],
    ['postgres://u:hidden@h/db?target_session_attrs=primary-ish', /^target_session_attrs must be/],
    ['postgres://u:hidden%zz@h/db', /%25/],
    ['postgres://u:hid/den@h/db', /percent-encoded/],
    ['postgres://u:hid?den@h/db', /percent-encoded|is no parameter/],
    ['postgres://u:hidden@h:0/db', /port/],
    ['postgres://u:hidden@h:65536/db', /port/],
    ['postgres://u:hidden@2001:db8::1/db', /port/],
    ['postgres://u:hidden@[h]/db', /IPv6/],
    ['postgres://u:hidden@a,/db', /each must have a name/],
    ['postgres://u:hidden@/db?host=/cloudsql/a:b:c&host=d', /each must have a name/],
    ['postgres://u:hid den@h/db', /white space/],
  ]
  for (const [url, line] of urls) {
    t.throws(() => readDatabaseUrl(url), { message: line }, url)
    t.throws(() => readConfig({ ...local, DATABASE_URL: url }), {
      name: 'ConfigError',
      message: /^ {2}- DATABASE_URL: [^\n]*$/m,
    })
    try {
      readDatabaseUrl(url)
    } catch (error) {
      t.type(error, DatabaseUrlError)
      t.notMatch((error as Error).message, /hid|den/, url)
    }
  }
})

void test('a DATABASE_URL without a user is refused where the system user has no name', async (t) => {
  const { userInfo: before } = os
  t.teardown(() => {
    os.userInfo = before
    syncBuiltinESMExports()
  })
  os.userInfo = () => {
    throw Object.assign(new Error('A system error occurred: uv_os_get_passwd'), { code: 'ERR_SYSTEM_ERROR' })
  }
  syncBuiltinESMExports()
  t.throws(() => readConfig({ ...local, DATABASE_URL: 'postgres://h/db' }), {
    name: 'ConfigError',
    message: /^ {2}- DATABASE_URL: it names no user; write postgres:\/\/user:password@host\/name$/m,
  })
  t.match(readDatabaseUrl('postgres://u@h/db'), { user: 'u' })
})

/** The properties of a connection, or the error that the start would report. */
async function connected(url: string) {
  const client = openPostgres(url, {
    max: 1,
    fetch_types: false,
    onnotice: () => undefined,
    connect_timeout: 5,
    connection: { application_name: 'ours', statement_timeout: 5_000 },
  })
  try {
    const [row] = await client`
      select coalesce(ssl, false) as tls, current_setting('application_name') as application,
        current_setting('work_mem') as work_mem,
        current_setting('statement_timeout') as statement_timeout, current_database() as database, inet_server_addr() is null as socket
      from pg_stat_ssl where pid = pg_backend_pid()`
    return row as Record<string, unknown>
  } catch (error) {
    return { fault: startFault(error, readConfig({ ...local, DATABASE_URL: url })) ?? String(error) }
  } finally {
    await client.end({ timeout: 1 })
  }
}

void test('each sslmode works as PostgreSQL says, with and without TLS', needsPostgres, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const as = osUser()
  for (const [name, text] of Object.entries({ 'server.key': key, 'server.crt': cert })) {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    if (as) chownSync(join(folder, name), as.uid, as.gid)
  }
  chmodSync(folder, 0o755)
  const ca = join(t.testdir({ 'ca.pem': cert }), 'ca.pem')
  const tls = {
    listen_addresses: '127.0.0.1,127.0.0.2',
    ssl: 'on',
    ssl_cert_file: join(folder, 'server.crt'),
    ssl_key_file: join(folder, 'server.key'),
  }
  const [over, without] = await Promise.all([startPostgres(tls), startPostgres()])
  t.teardown(() => Promise.all([over.stop(), without.stop()]))
  const at = ({ url }: typeof over, query: string, host = 'localhost') =>
    connected(`${url.replace('127.0.0.1', host)}?${query}`)

  const yes = { tls: true }
  const no = { tls: false }
  const untrusted = { fault: /certificate.*sslrootcert/ }
  const none = { fault: /no TLS/ }
  const cases: [query: string, over: object, without: object][] = [
    ['sslmode=disable', no, no],
    ['sslmode=allow', yes, no],
    ['sslmode=prefer', yes, no],
    ['sslmode=require', yes, none],
    [`sslmode=require&sslrootcert=${ca}`, yes, none],
    ['sslmode=verify-ca', untrusted, none],
    [`sslmode=verify-ca&sslrootcert=${ca}`, yes, none],
    ['sslmode=verify-full', untrusted, none],
    [`sslmode=verify-full&sslrootcert=${ca}`, yes, none],
    ['channel_binding=require', untrusted, none],
    [`channel_binding=require&sslrootcert=${ca}`, yes, none],
  ]
  for (const [query, onTls, plain] of cases) {
    t.match(await at(over, query), onTls, `${query} with TLS`)
    t.match(await at(without, query), plain, `${query} without TLS`)
  }
  // The certificate is of localhost and 127.0.0.1.
  t.match(await at(over, `sslmode=verify-full&sslrootcert=${ca}`, '127.0.0.2'), { fault: /certificate/ })
  t.match(await at(over, `sslmode=verify-full&sslrootcert=${ca}`, '127.0.0.1'), yes)
  t.match(await at(over, `sslmode=verify-ca&sslrootcert=${ca}`, '127.0.0.2'), yes)

  await t.test('options, sockets, timeouts and several hosts of a DATABASE_URL are used', async (t) => {
    const timeouts = 'options=-c%20statement_timeout%3D9s%20-capplication_name%3Dtheirs'
    t.match(await at(without, timeouts), { application: 'theirs', statement_timeout: '9s' })
    const socket = `postgresql+psycopg://postgres@/postgres?host=${without.folder}&port=${new URL(without.url).port}`
    t.match(await connected(socket), { socket: true, database: 'postgres' })
    const options = 'application_name=mine&options=-cwork_mem%3D123kB&connect_timeout=3'
    t.match(await at(without, options), { application: 'mine', work_mem: '123kB', socket: false })
    const { host } = new URL(without.url)
    const several = `postgres://postgres@localhost:1,${host}/postgres`
    t.match(await connected(several), { database: 'postgres' }, 'the second, where the first is away')
    t.match(await connected(`postgresql://postgres@/postgres?host=/nowhere`), { fault: /ENOENT/ })
  })
})
