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
import { readEnvFile } from './sources/env-file.ts'
import { expanded } from './sources/expand-env.ts'
import { withDatabaseUrl } from './sources/postgres-names.ts'
import { profileOf } from './sources/profiles.ts'
import { environmentFaults, hostOf } from './environment-faults.ts'
import { type OidcProvider, isProviderSetting, readProviders } from './sources/oidc.ts'
import { originOf, pathOf, readList, readOrigin, readText, withoutLastSlashes } from '../text/text-values.ts'

/**
 * Reads the environment; nothing else reads process.env. Errors stop the start, one line each.
 */

/** Settings of the process, checked and complete. Names are those of the environment. */
export interface Config extends Omit<
  Named,
  'HOST' | 'PUBLIC_URL' | 'SECRET_KEY' | 'FIRST_SUPERUSER_PASSWORD' | 'DOCS_ENABLED'
> {
  readonly HOST: string
  readonly PUBLIC_URL: string | undefined
  readonly SECRET_KEY: string
  readonly FIRST_SUPERUSER_PASSWORD: string | undefined
  readonly DOCS_ENABLED: boolean
  /** smtp: sent. inbox: kept in the database and shown at /inbox (local). off: not made. */
  readonly mail: 'smtp' | 'inbox' | 'off'
  /** Path of PUBLIC_URL without its last slash, usually empty: prefix of absolute paths in answers. */
  readonly publicPath: string
  /** Prefix of links in mails. */
  readonly linkBase: string
  readonly corsOrigins: readonly string[]
  readonly trustedProxies: readonly string[]
  readonly oidc: readonly OidcProvider[]
  /** What COMPATIBILITY sets, as `NAME=value`. */
  readonly profile: readonly string[]
  /** Names of `.env` that mean nothing here. */
  readonly unusedNames: readonly string[]
}

/** Default origins of Vite, and of most others. */
const DEV_SERVERS = ['http://localhost:5173', 'http://localhost:3000']

/** All errors of the environment, one line each. */
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
  const { env, unused, faults } = environment()
  return { ...readConfig(env, faults), unusedNames: unused }
}

/** For the doctor: the config as far as it can be read, and its errors. Makes no secret. */
export function examineConfig(): Examined {
  const { env, unused, faults } = environment()
  const examined = examine(present(env))
  const config = { ...examined.config, unusedNames: unused }
  return { config, faults: [...faults, ...examined.faults] }
}

function environment() {
  const given = present(withoutLineEnds(process.env))
  const file = envFile()
  const settings = [
    ...Object.keys(Environment.properties),
    ...Object.keys(file.values).filter(isProviderSetting),
  ]
  const { values, unused, faults } = expanded(file, given, settings)
  return { env: { ...values, ...given }, unused, faults: [...file.faults, ...faults] }
}

function envFile() {
  if (!existsSync('.env')) return readEnvFile('')
  if (statSync('.env').isDirectory())
    return {
      ...readEnvFile(''),
      faults: [
        '.env: is a folder, as Docker makes one where the file to mount is missing; put a file in its place',
      ],
    }
  return readEnvFile(readFileSync('.env', 'utf8'))
}

/** Removes line ends: `docker --env-file` keeps CR, and `echo` adds LF to a secret. */
const withoutLineEnds = (env: Readonly<NodeJS.Dict<string>>) =>
  Object.fromEntries(Object.entries(env).map(([name, text]) => [name, text?.trimEnd()]))

/** Empty counts as unset. */
const present = (env: Readonly<NodeJS.Dict<string>>) =>
  Object.fromEntries(Object.entries(env).filter(([, text]) => text !== undefined && text.trim() !== ''))

/**
 * Checks an environment and adds derived values. In local, creates the secret in DATA_DIR on the first call.
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
  const profile = profileOf(env)
  const { named, misread } = readNamed(withDatabaseUrl({ ...profile, ...env }))
  const told = Object.entries(profile).map((entry) => entry.join('='))
  const { providers, faults } = readProviders(env, named)
  return {
    config: { ...completed(named, told), oidc: providers },
    faults: [...misread, ...environmentFaults(named, env), ...faults],
  }
}

function completed(named: Named, profile: readonly string[]): Omit<Config, 'oidc'> {
  const local = named.ENVIRONMENT === 'local'
  const PUBLIC_URL = trimmed(named.PUBLIC_URL ?? (local ? `http://localhost:${named.PORT}` : undefined))
  const ownFrontend = named.FRONTEND_DIR === undefined ? undefined : PUBLIC_URL
  const FRONTEND_HOST = trimmed(named.FRONTEND_HOST) ?? ownFrontend
  return {
    ...named,
    FIRST_SUPERUSER: readEmail(named.FIRST_SUPERUSER),
    HOST: hostOf(named),
    PUBLIC_URL,
    ...(FRONTEND_HOST !== undefined && { FRONTEND_HOST }),
    SECRET_KEY: named.SECRET_KEY ?? '',
    FIRST_SUPERUSER_PASSWORD: named.FIRST_SUPERUSER_PASSWORD ?? (local ? 'changethis' : undefined),
    DOCS_ENABLED: named.DOCS_ENABLED ?? named.ENVIRONMENT !== 'production',
    mail: named.SMTP_HOST !== undefined ? 'smtp' : local ? 'inbox' : 'off',
    publicPath: pathOf(PUBLIC_URL),
    linkBase: FRONTEND_HOST ?? PUBLIC_URL ?? '',
    corsOrigins: [
      ...new Set([
        ...[originOf(named.FRONTEND_HOST) ?? []].flat(),
        ...readList(named.BACKEND_CORS_ORIGINS).flatMap((origin) => readOrigin(origin) ?? []),
        ...(local ? DEV_SERVERS : []),
      ]),
    ],
    trustedProxies: readList(named.TRUST_PROXY),
    profile,
    unusedNames: [],
  }
}

const trimmed = <T extends string | undefined>(url: T) => (url && withoutLastSlashes(url)) as T

/** Converts values to their types; one that can't be converted counts as unset and is an error. */
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

/** What a value must be. Does not repeat the value, which may be a secret. */
function expectation(schema: TSchema): string {
  if (schema.type === 'integer') return `a whole number from ${schema.minimum} to ${schema.maximum} is needed`
  if (schema.type === 'boolean') return 'true or false (or 1 or 0) is needed'
  if (schema.const !== undefined) return `${schema.const} is the only value`
  return `one of ${schema.description} is needed`
}

/**
 * The secret of a local installation: created once beside the embedded database, readable by its owner only. Written to a
 * temporary file and renamed, so that no process reads half of it.
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

/** If two processes start at once, the first wins. */
function linkIfFirst(made: string, path: string): void {
  try {
    linkSync(made, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
