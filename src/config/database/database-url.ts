import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { userInfo } from 'node:os'
import { type ConnectionOptions, checkServerIdentity, createSecureContext } from 'node:tls'
import { direct as ownSettings } from './session-parameters.ts'

/**
 * Parses PostgreSQL connection URIs as hosting providers write them (PostgreSQL manual, 34.1.1.2). The parser of postgres.js
 * sends unknown parameters to the server, and takes a URI without host for localhost; here anything unused is an error.
 */
export interface DatabaseUrl {
  readonly hosts: readonly string[]
  readonly ports: readonly number[]
  /** Folder of the Unix socket, if there is no host. */
  readonly socket?: string
  readonly user: string
  readonly password: string
  readonly database: string
  readonly tls: Tls
  /** All other parameters, by name. */
  readonly parameters: Readonly<Record<string, string>>
}

/** TLS: `encrypted` protects against eavesdropping, `verified` also against an impostor. */
export type Tls = 'none' | 'where offered' | 'encrypted' | 'verified authority' | 'verified'

/** An error in a URI; names the parameter, never a value. */
export class DatabaseUrlError extends Error {}

const SCHEME = /^postgres(?:ql)?(?:\+\w+)?:\/\// // SQLAlchemy names its driver behind the plus

const DEFAULT_PORT = 5432
const SOCKET_FOLDERS = ['/var/run/postgresql', '/tmp'] // of Debian's packages and of PostgreSQL itself

const SSL_MODES: Readonly<Record<string, Tls>> = {
  disable: 'none',
  allow: 'where offered', // the driver knows no way to try without TLS first
  prefer: 'where offered',
  require: 'encrypted',
  'no-verify': 'encrypted', // of node-postgres
  'verify-ca': 'verified authority',
  'verify-full': 'verified',
}

/** Spellings of JDBC and node-postgres; asyncpg has those of sslmode. */
const SSL: Readonly<Record<string, string>> = {
  true: 'require',
  1: 'require',
  false: 'disable',
  0: 'disable',
  ...Object.fromEntries(Object.keys(SSL_MODES).map((mode) => [mode, mode])),
}

const SESSION_ATTRS = ['read-write', 'read-only', 'primary', 'standby', 'prefer-standby']

/** Allowed values of each parameter; undefined: any. */
const KNOWN: Readonly<Record<string, readonly string[] | undefined>> = {
  host: undefined,
  port: undefined,
  user: undefined,
  password: undefined,
  dbname: undefined,
  sslmode: Object.keys(SSL_MODES),
  ssl: Object.keys(SSL),
  sslrootcert: undefined,
  sslcert: undefined,
  sslkey: undefined,
  sslpassword: undefined,
  sslnegotiation: ['postgres', 'direct'],
  ssl_min_protocol_version: ['TLSv1.2', 'TLSv1.3'],
  channel_binding: ['disable', 'prefer', 'require'],
  application_name: undefined,
  fallback_application_name: undefined,
  options: undefined,
  connect_timeout: undefined,
  target_session_attrs: ['any', ...SESSION_ATTRS],
  client_encoding: ['utf8', 'UTF8', 'utf-8', 'UTF-8', 'auto'],
  keepalives: ['0', '1'],
  keepalives_idle: undefined,
  // Accepted without effect.
  schema: undefined,
  search_path: undefined,
  currentSchema: undefined,
  gssencmode: ['disable', 'prefer'],
  uselibpqcompat: ['true', 'false'], // of node-postgres: sslmode has libpq's meaning here anyway
  supa: undefined, // of Supabase, for its own statistics
  load_balance_hosts: ['disable'],
  sslcompression: ['0'],
  sslsni: ['1'],
  keepalives_interval: undefined,
  keepalives_count: undefined,
  tcp_user_timeout: undefined,
}

/** Parameters of other programs, and what to use here instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  connection_limit: 'DATABASE_POOL_SIZE',
  pool_size: 'DATABASE_POOL_SIZE',
  pgbouncer: 'MIGRATION_DATABASE_URL',
  pool_timeout: 'DATABASE_TIMEOUT_MS',
  statement_timeout: 'DATABASE_TIMEOUT_MS',
}

/** @throws DatabaseUrlError */
export function readDatabaseUrl(url: string): DatabaseUrl {
  if (!SCHEME.test(url))
    throw new DatabaseUrlError('a URL is needed that begins with postgres:// or postgresql://')
  if (/\s/.test(url)) throw new DatabaseUrlError('it has white space, which must be percent-encoded')
  const [beforeQuery, query] = split(url.replace(SCHEME, ''), '?')
  const [authority, path] = split(beforeQuery, '/')
  const at = authority.lastIndexOf('@')
  const [name, secret] = split(authority.slice(0, Math.max(at, 0)), ':')
  const parameters = readParameters(query)
  const { hosts, ports, socket } = places(authority.slice(at + 1), parameters)
  const user = (parameters.user ?? decoded(name)) || ownName()
  const database = (parameters.dbname ?? decoded(path)) || user
  const password = parameters.password ?? decoded(secret)
  const tls = socket === undefined ? protection(parameters) : 'none'
  return { hosts, ports, ...(socket !== undefined && { socket }), user, password, database, tls, parameters }
}

/** The default of libpq. A container with an arbitrary user id has no user name. */
function ownName(): string {
  try {
    return userInfo().username
  } catch {
    throw new DatabaseUrlError('it names no user; write postgres://user:password@host/name')
  }
}

/** Splits a text in two, at the first `mark`. */
function split(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + mark.length)]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new DatabaseUrlError('a % that is no percent-encoding must be written %25')
  }
}

function readParameters(query: string): Record<string, string> {
  const parameters: Record<string, string> = {}
  for (const part of query.split('&').filter((text) => text !== '')) {
    const [name, value] = split(part, '=').map(decoded) as [string, string]
    if (!Object.hasOwn(KNOWN, name)) {
      const better = ELSEWHERE[name]
      throw new DatabaseUrlError(
        `${/^\w{1,40}$/.test(name) ? name : 'what follows the ?'} is no parameter that is used here; ` +
          (better === undefined ? 'leave it out' : `say it by ${better}`),
      )
    }
    const values = KNOWN[name]
    if (value === '') continue
    if (values && !values.includes(value))
      throw new DatabaseUrlError(`${name} must be one of ${values.join(', ')}`)
    // SQLAlchemy repeats host= for several hosts.
    const isListed = (name === 'host' || name === 'port') && parameters[name] !== undefined
    parameters[name] = isListed ? `${parameters[name]},${value}` : value
  }
  refuseSchemas(parameters)
  refuseOwnSettings(parameters)
  const { connect_timeout } = parameters
  if (connect_timeout !== undefined && !/^\d{1,4}$/.test(connect_timeout))
    throw new DatabaseUrlError('connect_timeout must be a number of seconds')
  for (const name of ['sslrootcert', 'sslcert', 'sslkey']) {
    const path = parameters[name]
    if (path !== undefined && path !== 'system' && !isReadable(path))
      throw new DatabaseUrlError(`${name} must be the path of a file that is there, and can be read`)
  }
  refuseKeepAlive(parameters)
  refuseCertificates(parameters)
  return parameters
}

function isReadable(path: string): boolean {
  try {
    return readFileSync(path).length > 0
  } catch {
    return false
  }
}

function refuseKeepAlive({ keepalives_idle }: Readonly<Record<string, string>>) {
  if (keepalives_idle !== undefined && !/^\d{1,6}$/.test(keepalives_idle))
    throw new DatabaseUrlError('keepalives_idle must be a number of seconds')
}

/** What OpenSSL can't use would fail each connection, in words that name no setting, or be passed over. */
function refuseCertificates(parameters: Readonly<Record<string, string>>) {
  const { ca, ...own } = credentials(parameters)
  try {
    if (ca !== undefined && !(ca.includes('-----BEGIN ') && new X509Certificate(ca).raw))
      throw new Error('not PEM')
  } catch {
    throw new DatabaseUrlError('sslrootcert must be a file with certificates in PEM')
  }
  try {
    createSecureContext(own)
  } catch {
    throw new DatabaseUrlError(
      'sslcert and sslkey must be files in PEM that belong together, the key as sslpassword opens it',
    )
  }
}

/** search_path is set by every connection (session-parameters.ts), which overrides the URL. */
function refuseSchemas(parameters: Readonly<Record<string, string>>) {
  const named = ['schema', 'search_path', 'currentSchema'].map((name) => [name, parameters[name]])
  // In these names PostgreSQL treats - as _.
  const inOptions = parameters.options?.matchAll(/search[_-]path\s*=\s*(\S*)/gi) ?? []
  for (const [name, schema] of [...named, ...[...inOptions].map(([, schema]) => ['options', schema])])
    if (schema !== undefined && schema !== 'public')
      throw new DatabaseUrlError(
        `${name}: its tables are in the schema public; leave it out, or make a database of its own`,
      )
}

/** Parameters that every connection sets by itself: in the URL they would have no effect. */
function refuseOwnSettings({ options }: Readonly<Record<string, string>>) {
  const settings = settingsIn(options)
  for (const [name, own] of Object.entries(ownSettings)) {
    const said = settings.get(name.toLowerCase())
    if (said !== undefined && !isSameSetting(said, own))
      throw new DatabaseUrlError(
        `options: ${name} is always ${own} here, as answers depend on it; leave it out`,
      )
  }
}

const isSameSetting = (one: string, other: string) =>
  one.replaceAll(/[\s"']/g, '').toLowerCase() === other.replaceAll(/[\s"']/g, '').toLowerCase()

/**
 * Settings in `options`, by lower-case name: `-c name=value`, `-cname=value`, `--name=value`. Spaces in a value are escaped
 * by a backslash, and PostgreSQL treats - as _ in names.
 */
export function settingsIn(options = ''): Map<string, string> {
  const words = options.match(/(?:\\[^]|[^\s\\])+/g) ?? []
  const settings = new Map<string, string>()
  for (const [at, word] of words.entries()) {
    const text = words[at - 1] === '-c' ? word : /^(?:-c|--)(.+)$/s.exec(word)?.[1]
    const [name, value] = split(text ?? '', '=')
    if (name !== '') settings.set(name.replaceAll('-', '_').toLowerCase(), value.replaceAll(/\\([^])/g, '$1'))
  }
  return settings
}

function places(authority: string, { host, port }: Readonly<Record<string, string>>) {
  const entries = (host ?? authority).split(',')
  const ports = (port ?? '').split(',')
  const read = entries.map((entry, index) => {
    // A socket folder may contain a colon (Cloud SQL), so host= has no port.
    const isFolder = host !== undefined && entry.startsWith('/')
    const [, bracketed, plain = '', own] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/.exec(entry) ?? []
    const isBare = isFolder || (host !== undefined && isIP(entry) === 6)
    const text = (isBare ? '' : own) || ports[index] || ports[0] || String(DEFAULT_PORT)
    if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 65_535)
      throw new DatabaseUrlError(
        'its port must be a number from 1 to 65535; other signs in names are percent-encoded',
      )
    if (bracketed !== undefined && isIP(bracketed) !== 6)
      throw new DatabaseUrlError('[…] must be an IPv6 address')
    return { host: isBare ? entry : (bracketed ?? decoded(plain)), port: Number(text) }
  })
  const [first] = read
  const hosts = read.map(({ host }) => host)
  const isSocket = hosts.some((name) => name === '' || name.startsWith('/'))
  if (isSocket && hosts.length > 1) throw new DatabaseUrlError('of several hosts, each must have a name')
  const socket = isSocket
    ? first?.host || (SOCKET_FOLDERS.find((folder) => existsSync(folder)) ?? SOCKET_FOLDERS[0])
    : undefined
  if (!isSocket && hosts.some((name) => /[\s/?#@%]/.test(name)))
    throw new DatabaseUrlError('signs in its name or password must be percent-encoded')
  return { hosts, ports: read.map(({ port }) => port), socket }
}

/**
 * `channel_binding=require` protects against an impostor. The driver lacks channel binding; verifying the certificate does
 * the same.
 */
function protection({ sslmode, ssl, sslrootcert, channel_binding }: Readonly<Record<string, string>>): Tls {
  const tls =
    SSL_MODES[sslmode ?? SSL[ssl ?? ''] ?? (sslrootcert === 'system' ? 'verify-full' : 'disable')] ?? 'none'
  if (channel_binding === 'require' || sslrootcert === 'system') {
    if (sslmode === 'disable') throw new DatabaseUrlError('sslmode=disable contradicts its other parameters')
    return 'verified'
  }
  return tls === 'encrypted' && sslrootcert !== undefined ? 'verified authority' : tls
}

/** Options for postgres.js. */
export function driverOptions(url: string) {
  const { hosts, ports, socket, user, password, database, tls, parameters } = readDatabaseUrl(url)
  const { options, connect_timeout } = parameters
  const named = parameters.application_name ?? settingsIn(options).get('application_name')
  const application_name = named ?? parameters.fallback_application_name
  const { target_session_attrs = hosts.length > 1 ? 'read-write' : 'any', sslnegotiation } = parameters
  return {
    host: socket === undefined ? [...hosts] : 'localhost',
    port: [...ports],
    ...(socket !== undefined && { path: `${socket}/.s.PGSQL.${ports[0]}` }),
    user,
    password,
    database,
    ssl:
      tls === 'none'
        ? false
        : tls === 'where offered'
          ? ('prefer' as const)
          : tlsOptions(tls, hosts, parameters),
    ...(sslnegotiation === 'direct' && { sslnegotiation: 'direct' }),
    ...(connect_timeout !== undefined &&
      Number(connect_timeout) > 0 && { connect_timeout: Number(connect_timeout) }),
    ...keepAlive(parameters),
    ...(target_session_attrs !== 'any' && { target_session_attrs: target_session_attrs as 'read-write' }),
    /** Startup parameters, which win over the service's own. */
    connection: {
      ...(application_name !== undefined && { application_name }),
      ...(options !== undefined && { options }),
    },
  }
}

/** The driver's keep_alive, in seconds; 0 is none. */
function keepAlive({ keepalives, keepalives_idle }: Readonly<Record<string, string>>): {
  readonly keep_alive?: number
} {
  if (keepalives === '0') return { keep_alive: 0 }
  return Number(keepalives_idle ?? 0) > 0 ? { keep_alive: Number(keepalives_idle) } : {}
}

function credentials({ sslrootcert, sslcert, sslkey, sslpassword }: Readonly<Record<string, string>>) {
  return {
    ...(sslrootcert !== undefined && sslrootcert !== 'system' && { ca: readFileSync(sslrootcert) }),
    ...(sslcert !== undefined && { cert: readFileSync(sslcert) }),
    ...(sslkey !== undefined && { key: readFileSync(sslkey) }),
    ...(sslpassword !== undefined && { passphrase: sslpassword }),
  } satisfies ConnectionOptions
}

function tlsOptions(
  tls: Tls,
  hosts: readonly string[],
  parameters: Readonly<Record<string, string>>,
): ConnectionOptions {
  const { ssl_min_protocol_version } = parameters
  return {
    rejectUnauthorized: tls !== 'encrypted',
    ...credentials(parameters),
    ...(ssl_min_protocol_version !== undefined && { minVersion: ssl_min_protocol_version as 'TLSv1.3' }),
    // For an IP address postgres.js 3.4.9 passes no server name, and Node would verify "localhost".
    checkServerIdentity: (name, certificate) => {
      if (tls !== 'verified') return undefined
      const names = hosts.includes(name) ? [name] : hosts.filter((host) => isIP(host) > 0)
      const faults = names.map((host) => checkServerIdentity(host, certificate))
      return faults.some((fault) => fault === undefined)
        ? undefined
        : (faults[0] ?? new Error('no name to look for'))
    },
  }
}

/** Whether the connection stays on this machine. */
export const isLoopbackOnly = ({ hosts, socket }: DatabaseUrl): boolean =>
  socket !== undefined ||
  hosts.every((host) => host === 'localhost' || host === '::1' || /^127\.[\d.]+$/.test(host))
