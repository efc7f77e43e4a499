import { type SQL, sql } from 'drizzle-orm'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { App } from '../../contract/contract.ts'
import { IncorrectCode } from '../../contract/errors.ts'
import { factors, passkeys, recoveryCodes, users } from '../../database/tables.ts'
import { auditFailures } from '../audit/audit.ts'
import { type Codes, type SealedFactor, readCode, recoveryHash } from './codes.ts'

/** A code that may be right: what the statement that uses it up is given. */
export type Candidate =
  | { readonly method: 'otp'; readonly factor_id: string; readonly step: number }
  | { readonly method: 'recovery'; readonly recovery_hash: string }

/** Whose code it is said to be. */
interface Shown {
  readonly user_id: string
  /** The authenticators that it may be of. */
  readonly factors: readonly SealedFactor[]
  readonly code: string
}

/**
 * Takes a code, whatever it is shown for: one limit counts wrong ones over all ways in, and the audit has them.
 *
 * @returns what does so: `use` is the statement that uses the code up, and its row is given. @throws TooManyRequests; IncorrectCode
 *   where `use` gives no row
 */
export function showCode(app: Pick<App, 'auth' | 'db' | 'mail'>) {
  const fail = auditFailures(app)
  return async <Row>(
    event: 'sign_in' | 'reauthenticated',
    { user_id, factors, code }: Shown,
    request: FastifyRequest,
    use: (method: Candidate['method'], values: CodeValues) => Promise<Row[]>,
  ): Promise<Row> => {
    await request.guess(['codes', user_id])
    const candidate = await candidateOf(app.auth.codes, factors, code)
    const [row] = await use(candidate.method, { ...NO_CODE, ...candidate })
    await request.settle(row !== undefined)
    if (row === undefined) {
      await fail(event, { user_id, reason: 'code' }, request)
      throw new IncorrectCode()
    }
    if (candidate.method === 'recovery') app.mail.wake()
    return row
  }
}

/** What a code may be: one of now of an authenticator, else a recovery code. */
async function candidateOf(codes: Codes, own: readonly SealedFactor[], code: string): Promise<Candidate> {
  for (const factor of own) {
    const step = await codes.stepOf(factor, readCode(code))
    if (step !== undefined) return { method: 'otp', factor_id: factor.id, step }
  }
  return { method: 'recovery', recovery_hash: recoveryHash(code) }
}

/** Values of a statement with `useCode`. */
export interface CodeValues {
  readonly factor_id: string
  readonly step: number
  readonly recovery_hash: string
}

/** For the statement that uses no code of the other kind. */
export const NO_CODE: CodeValues = { factor_id: '', step: 0, recovery_hash: '' }

/**
 * CTE `used`: uses up a code of the user in the CTE `account` (`id`), whose row that has locked `for no key update`; has their `user_id`, or no row where the code is wrong or
 * was used. A code of an authenticator is good once: one of the same or an earlier step is refused from then on.
 */
export const useCode = (method: Candidate['method'], v: Readonly<Record<keyof CodeValues, SQL>>): SQL =>
  method === 'otp'
    ? sql`used as (
      update ${factors} set last_step = ${v.step}::bigint, last_used_at = now()
      from account
      where ${factors.id} = ${v.factor_id} and ${factors.user_id} = account.id and ${factors.verified_at} is not null
        and coalesce(${factors.last_step} < ${v.step}::bigint, true)
      returning ${factors.user_id}
    )`
    : sql`used as (
      delete from ${recoveryCodes} using account
      where ${recoveryCodes.user_id} = account.id and ${recoveryCodes.hash} = ${v.recovery_hash}
      returning ${recoveryCodes.user_id}
    )`

/** Condition: a user signs in with a second factor. */
export const hasFactor = (user: SQL): SQL => sql`exists (
      select from ${factors} where ${factors.user_id} = ${user} and ${factors.verified_at} is not null
    )`

/**
 * Condition on a row of `users`: the session may add a second factor or a passkey. Where there is a factor, it has to have shown one,
 * or whoever has the password and an older session would add their own. Passkeys are one where superusers need one.
 */
export const mayAddFactor = ({ SECOND_FACTOR }: Pick<Config, 'SECOND_FACTOR'>, sessionFactor: SQL): SQL => {
  const hasPasskey = sql`exists (select from ${passkeys} where ${passkeys.user_id} = ${users.id})`
  const needsPasskey =
    SECOND_FACTOR === 'superusers' ? sql`${users.is_superuser} and ${hasPasskey}` : sql`false`
  return sql`(${sessionFactor}::boolean or not (${hasFactor(sql`${users.id}`)} or ${needsPasskey}))`
}

/** The authenticators of a user that count, as JSON of SealedFactor. */
export const sealedFactors = (user: SQL): SQL => sql`(
      select coalesce(jsonb_agg(jsonb_build_object('id', ${factors.id}, 'secret', ${factors.secret})), '[]')
      from ${factors} where ${factors.user_id} = ${user} and ${factors.verified_at} is not null
    )`
