import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../../config/config.ts'
import { type Method, sessions } from '../../database/tables.ts'
import { cause, notify } from '../../mail/queue.ts'
import { type Trail, audit } from '../audit/audit.ts'
import { hasFactor } from '../factors/use-code.ts'
import { sessionEnd } from './guard.ts'
import { rememberNetwork } from './known-networks.ts'

interface Ways {
  /** How the user showed who they are in this statement, beyond `methods` of the CTE `account`. */
  readonly methods: readonly Method[]
  /**
   * The second factor: a code, which the CTE `used` (factors/use-code.ts) has used up; one that is as good as two (`enough`); or
   * none, which opens no session for a user who has one.
   */
  readonly second: 'otp' | 'recovery' | 'enough' | 'none'
}

type OpeningConfig = Pick<Config, 'mail' | 'RATE_LIMIT_ENABLED' | 'REFRESH_TOKEN_EXPIRE_DAYS'>

/**
 * CTEs of a statement that signs somebody in, whatever way in it is: the only place that adds sessions, which a test
 * holds. The user is the one in the CTE `account` (`id`, `credentials_version`, `email`, `is_verified`, `methods`), which the
 * statement before has locked and found to be who they say. They are known to sign in from that network from now on.
 *
 * @returns the CTE `opened` among them has `id`, `user_id` and `generation` of the session; no row where there is no account, or
 *   a second factor is missing
 */
export const openSession = (
  v: Readonly<Record<keyof Trail | 'network', SQL>>,
  config: OpeningConfig,
  { methods, second }: Ways,
): SQL => sql`proven as (
      select account.* from account ${PROOFS[second]}
    ),
    ${rememberNetwork('proven', v.network)},
    opened as (
      insert into ${sessions} (user_id, credentials_version, methods, user_agent, ip_address, expires_at)
      select id, credentials_version, methods || ${sql.raw(`'{${methods.join(',')}}'`)}::text[], ${v.user_agent}::text,
        ${v.ip_address}::text, ${sessionEnd(config)}
      from proven
      returning id, user_id, generation, methods
    ),
    ${second === 'recovery' ? sql`${tellOfRecoveryCode(v, config)},` : sql.empty()}
    ${audit('sign_in', 'opened', v, {
      subject: sql`user_id`,
      actor: sql`user_id`,
      session: sql`id`,
      details: sql`jsonb_build_object('methods', methods)`,
    })}`

const PROOFS: Record<Ways['second'], SQL> = {
  otp: sql`join used on used.user_id = account.id`,
  recovery: sql`join used on used.user_id = account.id`,
  enough: sql.empty(),
  none: sql`where not ${hasFactor(sql`account.id`)}`,
}

/** Whoever has the codes may not be their owner. It says how many are left. */
export const tellOfRecoveryCode = (v: Readonly<Record<keyof Trail, SQL>>, config: OpeningConfig) =>
  notify(
    'recovery_code_used',
    'proven',
    config,
    sql`${cause(v)} || jsonb_build_object('left', (
      select (count(*) - 1)::text from "recovery_codes" where user_id = (select id from proven)
    ))`,
  )

/** Of an `update` of sessions: its user showed again who they are, in this way. */
export const authenticatedBy = (method: Method): SQL => {
  const name = sql.raw(`'${method}'`)
  return sql`authenticated_at = now(),
      methods = case when ${name} = any(${sessions.methods}) then ${sessions.methods} else ${sessions.methods} || ${name}::text end`
}
