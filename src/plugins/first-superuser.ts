import plugin from 'fastify-plugin'
import { isCommonPassword } from '../auth/common-passwords.ts'
import { type Config, ConfigError } from '../config.ts'

/** Makes the first superuser where nobody has that address yet, so that somebody can get in. */
export const firstSuperuser = plugin(
  async (app, { config }: { config: Config }) => {
    const { accounts, passwords } = app.auth
    const email = config.FIRST_SUPERUSER
    if (await accounts.findByEmail(email)) return
    if (config.ENVIRONMENT !== 'local' && (await isCommonPassword(config.FIRST_SUPERUSER_PASSWORD)))
      throw new ConfigError(['FIRST_SUPERUSER_PASSWORD: among the most common passwords; choose another'])
    // Of several processes that start at once, one makes it, and the others find it made.
    const made = await accounts.create({
      email,
      hashed_password: await passwords.hash(config.FIRST_SUPERUSER_PASSWORD),
      is_superuser: true,
      is_verified: true,
    })
    if (made) app.log.info({ user_id: made.id }, 'first superuser made')
  },
  { name: 'first-superuser', dependencies: ['auth'] },
)
