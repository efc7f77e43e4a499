import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../../config/config.ts'
import { type Method, recoveryCodes, sessions } from '../../database/tables.ts'
import { cause, notify } from '../../mail/queue.ts'
import { type TrailParameters, audit } from '../audit/audit.ts'
import { type Candidate, hasFactor } from '../factors/use-code.ts'
import { sessionEnd } from './guard.ts'
import { type NetworkNames, rememberNetwork } from './known-networks.ts'

type OpeningConfig = Pick<Config, 'mail' | 'RATE_LIMIT_ENABLED' | 'REFRESH_TOKEN_EXPIRE_DAYS'>

/**
 * CTEs of a statement that signs somebody in, whatever way in it is: the only place that adds sessions, which a test
 * holds. The user is the one in the CTE `account` (`id`, `credentials_version`, `email`, `is_verified`, `methods`), which the
 * statement before has locked and found to be who they say. They are known to sign in from that network from now on.
 *
 * @param shown which kind of second factor the CTE `used` has used up: a code, or a passkey, which counts as both factors; where
 *   undefined, none was shown, and no session is opened for a user who has one
 * @returns the CTE `opened` among them has `id`, `user_id` and `generation` of the session; no row where there is no account, or
 *   a second factor is missing
 */
export const openSession = (
  v: TrailParameters & Readonly<Record<keyof NetworkNames, SQL>>,
  config: OpeningConfig,
  shown: Candidate['method'] | 'passkey' | undefined,
): SQL => sql`proven as (
      select account.* from account
      ${shown === undefined ? sql`where not ${hasFactor(sql`account.id`)}` : sql`join used on used.user_id = account.id`}
    ),
    ${rememberNetwork('proven', v)},
    opened as (
      insert into ${sessions} (user_id, credentials_version, methods, user_agent, ip_address, expires_at)
      select id, credentials_version, methods || ${sql.raw(`'{${shown ?? ''}}'`)}::text[], ${v.user_agent}::text,
        ${v.ip_address}::text, ${sessionEnd(config)}
      from proven
      returning id, user_id, generation, methods
    ),
    ${shown === 'recovery' ? sql`${tellOfRecoveryCode(v, config)},` : sql.empty()}
    ${audit('sign_in', 'opened', v, {
      subject: sql`user_id`,
      actor: sql`user_id`,
      session: sql`id`,
      details: sql`jsonb_build_object('methods', methods)`,
    })}`

/** Whoever has the codes may not be their owner. It says how many are left. */
export const tellOfRecoveryCode = (v: TrailParameters, config: OpeningConfig) =>
  notify(
    'recovery_code_used',
    'proven',
    config,
    sql`${cause(v)} || jsonb_build_object('left', (
      select (count(*) - 1)::text from ${recoveryCodes} where user_id = (select id from proven)
    ))`,
  )

/** Of an `update` of sessions: its user showed again who they are, in this way. */
export const authenticatedBy = (method: Method): SQL => {
  const name = sql.raw(`'${method}'`)
  return sql`authenticated_at = now(),
      methods = case when ${name} = any(${sessions.methods}) then ${sessions.methods} else ${sessions.methods} || ${name}::text end`
}
