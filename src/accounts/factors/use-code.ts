import { type SQL, sql } from 'drizzle-orm'
import { factors, recoveryCodes } from '../../database/tables.ts'
import { type Codes, type SealedFactor, readCode, recoveryHash } from './codes.ts'

/** A code that may be right: what the statement that uses it up is given. */
export type Candidate =
  | { readonly method: 'otp'; readonly factor_id: string; readonly step: number }
  | { readonly method: 'recovery'; readonly recovery_hash: string }

/** What a code may be: one of now of an authenticator, else a recovery code. */
export async function candidateOf(
  codes: Codes,
  own: readonly SealedFactor[],
  code: string,
): Promise<Candidate> {
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

/**
 * CTE `used`: uses up a code of the user in the CTE `account` (`id`); has their `user_id`, or no row where the code is wrong or
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
