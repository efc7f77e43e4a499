import { type Config, ConfigError } from '../config.ts'
import type { Accounts } from './accounts.ts'
import { isCommonPassword } from './common-passwords.ts'
import type { Passwords } from './passwords.ts'

/**
 * Makes the first superuser where nobody has that address yet, so that somebody can get in.
 *
 * @returns its id where it was made
 * @throws ConfigError where everybody would guess its password
 */
export async function makeFirstSuperuser(
  { accounts, passwords }: { readonly accounts: Accounts; readonly passwords: Passwords },
  config: Pick<Config, 'ENVIRONMENT' | 'FIRST_SUPERUSER' | 'FIRST_SUPERUSER_PASSWORD'>,
): Promise<string | undefined> {
  const email = config.FIRST_SUPERUSER
  if (await accounts.findByEmail(email)) return undefined
  if (config.ENVIRONMENT !== 'local' && (await isCommonPassword(config.FIRST_SUPERUSER_PASSWORD)))
    throw new ConfigError(['FIRST_SUPERUSER_PASSWORD: among the most common passwords; choose another'])
  // Of several processes that start at once, one makes it, and the others find it made.
  const made = await accounts.create({
    email,
    hashed_password: await passwords.hash(config.FIRST_SUPERUSER_PASSWORD),
    is_superuser: true,
    is_verified: true,
  })
  return made?.id
}
