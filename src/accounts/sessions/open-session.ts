import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../../config/config.ts'
import { type Method, sessions } from '../../database/tables.ts'
import { type Trail, audit } from '../audit/audit.ts'
import { sessionEnd } from './guard.ts'
import { rememberNetwork } from './known-networks.ts'

/**
 * The end of a statement that signs somebody in, whatever way in it is: the only place that adds sessions, which a test
 * holds. The user is the one in the CTE `account` (`id`, `credentials_version`), which the statement before has locked and
 * found to be who they say; they are known to sign in from that network from now on.
 *
 * @param methods how they showed it, in this statement
 * @returns `id`, `user_id` and `generation` of the session, where there is an account
 */
export const openSession = (
  v: Readonly<Record<keyof Trail | 'network', SQL>>,
  config: Pick<Config, 'REFRESH_TOKEN_EXPIRE_DAYS'>,
  methods: readonly Method[],
): SQL => sql`${rememberNetwork('account', v.network)},
    opened as (
      insert into ${sessions} (user_id, credentials_version, methods, user_agent, ip_address, expires_at)
      select id, credentials_version, ${sql.raw(`'{${methods.join(',')}}'`)}, ${v.user_agent}, ${v.ip_address},
        ${sessionEnd(config)}
      from account
      returning id, user_id, generation, methods
    ),
    ${audit('sign_in', 'opened', v, {
      subject: sql`user_id`,
      actor: sql`user_id`,
      session: sql`id`,
      details: sql`jsonb_build_object('methods', methods)`,
    })}
    select id, user_id, generation from opened`

/** Of an `update` of sessions: its user showed again who they are, in this way. */
export const authenticatedBy = (method: Method): SQL => {
  const name = sql.raw(`'${method}'`)
  return sql`authenticated_at = now(),
      methods = case when ${name} = any(${sessions.methods}) then ${sessions.methods} else ${sessions.methods} || ${name}::text end`
}
