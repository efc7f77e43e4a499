import type { Config } from '../config.ts'

type Env = Readonly<NodeJS.Dict<string>>

/**
 * What a profile of COMPATIBILITY sets where the environment does not. Nothing in one may let a session live on that was
 * revoked, or a link count twice.
 */
const PROFILES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  /** Its frontend has no page that verifies an address, and never refreshes a token: it asks for the password after 8 days. */
  'fastapi-template': { EMAIL_VERIFICATION: 'off', ACCESS_TOKEN_EXPIRE_MINUTES: String(8 * 24 * 60) },
}

/** The names that the profile of an environment sets, and it does not. */
export function profileOf(env: Env): Readonly<Record<string, string>> {
  const { COMPATIBILITY } = env
  if (COMPATIBILITY === undefined || !Object.hasOwn(PROFILES, COMPATIBILITY)) return {}
  const all = Object.entries(PROFILES[COMPATIBILITY] ?? {})
  return Object.fromEntries(all.filter(([name]) => env[name] === undefined))
}

/** For people: the profile, and what it sets. */
export const profileText = ({ COMPATIBILITY, profile }: Pick<Config, 'COMPATIBILITY' | 'profile'>) =>
  `${COMPATIBILITY}: ${profile.length === 0 ? 'sets nothing, as all is set' : `sets ${profile.join(', ')}`}`
