import { randomBytes } from 'node:crypto'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { Environment, type Named } from './environment.ts'
import { readEmail } from '../text/email-address.ts'
import { expanded, readEnvFile } from './env-file.ts'
import { environmentFaults, hostOf } from './environment-faults.ts'
import { originOf, pathOf, readList, readOrigin, readText, withoutLastSlashes } from '../text/text-values.ts'

/**
 * The environment: the only reader of process.env. What is not right stops the start, with one line for each fault.
 * README's table of names is checked against this schema.
 */

/** The settings of one process, checked and complete. Names are those of the environment. */
export interface Config extends Omit<
  Named,
  'HOST' | 'PUBLIC_URL' | 'SECRET_KEY' | 'FIRST_SUPERUSER_PASSWORD' | 'DOCS_ENABLED'
> {
  readonly HOST: string
  readonly PUBLIC_URL: string | undefined
  readonly SECRET_KEY: string
  readonly FIRST_SUPERUSER_PASSWORD: string | undefined
  readonly DOCS_ENABLED: boolean
  /** Where mails go: to a server, into the database alone (local), or they are not made. */
  readonly mail: 'smtp' | 'inbox' | 'off'
  /** The path of PUBLIC_URL without its last slash, empty for most: what absolute paths that clients are told begin with. */
  readonly publicPath: string
  /** What links in mails begin with. */
  readonly linkBase: string
  readonly corsOrigins: readonly string[]
  readonly trustedProxies: readonly string[]
}

/** Vite's, and what most others use. */
const DEV_SERVERS = ['http://localhost:5173', 'http://localhost:3000']

/** Every fault of the environment, a line each. */
export class ConfigError extends Error {
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(['The environment is not right:', ...faults.map((fault) => `  - ${fault}`)].join('\n'))
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/**
 * Reads the process's environment, and `.env` in the working folder for names that it lacks.
 *
 * @throws ConfigError
 */
export function loadConfig(): Config {
  const { env, faults } = environment()
  return readConfig(env, faults)
}

/** The same, for the doctor: what can be read, and what is wrong with the rest. Makes no secret. */
export function examineConfig(): Examined {
  const { env, faults } = environment()
  const examined = examine(present(env))
  return { ...examined, faults: [...faults, ...examined.faults] }
}

function environment() {
  const given = present(withoutLineEnds(process.env))
  const file = envFile()
  const { values, faults } = expanded(file.values, given, Object.keys(Environment.properties))
  return { env: { ...values, ...given }, faults: [...file.faults, ...faults] }
}

function envFile() {
  if (!existsSync('.env')) return readEnvFile('')
  if (statSync('.env').isDirectory())
    return {
      values: {},
      faults: [
        '.env: is a folder, as Docker makes one where the file to mount is missing; put a file in its place',
      ],
    }
  return readEnvFile(readFileSync('.env', 'utf8'))
}

/** What `docker --env-file` leaves of lines that end in CRLF, and `echo` at the end of a secret. */
const withoutLineEnds = (env: Readonly<NodeJS.Dict<string>>) =>
  Object.fromEntries(Object.entries(env).map(([name, text]) => [name, text?.trimEnd()]))

/** Empty counts as unset. */
const present = (env: Readonly<NodeJS.Dict<string>>) =>
  Object.fromEntries(Object.entries(env).filter(([, text]) => text !== undefined && text.trim() !== ''))

/**
 * Checks an environment and completes it. In local, makes the secret in DATA_DIR on the first call.
 *
 * @throws ConfigError
 */
export function readConfig(env: Readonly<NodeJS.Dict<string>>, before: readonly string[] = []): Config {
  const { config, faults } = examine(present(env))
  if (before.length + faults.length > 0) throw new ConfigError([...before, ...faults])
  return { ...config, SECRET_KEY: config.SECRET_KEY || localSecret(config.DATA_DIR) }
}

interface Examined {
  /** Its SECRET_KEY is empty where none is set. */
  readonly config: Config
  readonly faults: readonly string[]
}

function examine(env: Readonly<NodeJS.Dict<string>>): Examined {
  const { named, misread } = readNamed(env)
  return { config: completed(named), faults: [...misread, ...environmentFaults(named, env)] }
}

function completed(named: Named): Config {
  const local = named.ENVIRONMENT === 'local'
  const PUBLIC_URL = trimmed(named.PUBLIC_URL ?? (local ? `http://localhost:${named.PORT}` : undefined))
  const FRONTEND_HOST = trimmed(named.FRONTEND_HOST)
  return {
    ...named,
    FIRST_SUPERUSER: readEmail(named.FIRST_SUPERUSER),
    HOST: hostOf(named),
    PUBLIC_URL,
    SECRET_KEY: named.SECRET_KEY ?? '',
    FIRST_SUPERUSER_PASSWORD: named.FIRST_SUPERUSER_PASSWORD ?? (local ? 'changethis' : undefined),
    DOCS_ENABLED: named.DOCS_ENABLED ?? named.ENVIRONMENT !== 'production',
    mail: named.SMTP_HOST !== undefined ? 'smtp' : local ? 'inbox' : 'off',
    publicPath: pathOf(PUBLIC_URL),
    linkBase: FRONTEND_HOST ?? PUBLIC_URL ?? '',
    corsOrigins: [
      ...new Set([
        ...[originOf(FRONTEND_HOST) ?? []].flat(),
        ...readList(named.BACKEND_CORS_ORIGINS).flatMap((origin) => readOrigin(origin) ?? []),
        ...(local ? DEV_SERVERS : []),
      ]),
    ],
    trustedProxies: readList(named.TRUST_PROXY),
  }
}

const trimmed = <T extends string | undefined>(url: T) => (url && withoutLastSlashes(url)) as T

/** The values of the environment as their types; one that can't be read counts as unset, and is told. */
function readNamed(env: Readonly<NodeJS.Dict<string>>): { named: Named; misread: string[] } {
  const values: Record<string, unknown> = {}
  const misread: string[] = []
  for (const [name, schema] of Object.entries<TSchema>(Environment.properties)) {
    const value = readText(schema, env[name])
    const fits = value === undefined || Value.Check(schema, value)
    if (!fits) misread.push(`${name}: ${expectation(schema)}`)
    const settled = fits ? (value ?? schema.default) : schema.default
    if (settled !== undefined) values[name] = settled
  }
  return { named: values as Named, misread }
}

/** What a value must be; the value itself is not repeated, as it may be a secret. */
function expectation(schema: TSchema): string {
  if (schema.type === 'integer') return `a whole number from ${schema.minimum} to ${schema.maximum} is needed`
  if (schema.type === 'boolean') return 'true or false (or 1 or 0) is needed'
  return `one of ${schema.description} is needed`
}

/**
 * The secret of a local installation: made once, kept beside the embedded database, readable by its owner alone. It is
 * written aside and moved into place, so that nobody ever reads half of one.
 */
function localSecret(dataDir: string): string {
  const path = join(dataDir, 'secret')
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const kept = existsSync(path) ? readFileSync(path, 'utf8').trim() : ''
  if (Buffer.byteLength(kept) >= 32) return kept
  const made = randomBytes(32).toString('base64url')
  const aside = `${path}.${process.pid}`
  writeFileSync(aside, made, { mode: 0o600 })
  if (kept === '' && !existsSync(path)) linkIfFirst(aside, path)
  else renameSync(aside, path)
  rmSync(aside, { force: true })
  return readFileSync(path, 'utf8').trim()
}

/** Of two processes that start at once, the first decides. */
function linkIfFirst(made: string, path: string): void {
  try {
    linkSync(made, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
