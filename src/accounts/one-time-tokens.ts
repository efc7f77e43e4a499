import { type SQLWrapper, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Database } from '../database/connect.ts'
import { inMinutes, newRow } from '../database/statements.ts'
import { type TokenPurpose, oneTimeTokens as tokens } from '../database/tables.ts'

/**
 * Parts of a statement of the query builder that give the user of `account` (a CTE of one row or none) a token. `token` has
 * one row then, of id and expires_at; `slot` has none. Statements written as SQL use newToken of tokens.ts.
 *
 * @param prefix of the parts' names, where a statement gives tokens to two
 */
export function tokenFor(
  db: Database,
  account: WithSubquery & { id: SQLWrapper; email: SQLWrapper },
  purpose: TokenPurpose,
  minutes: number,
  prefix = '',
) {
  const slot = db.$with(`${prefix}slot`).as(
    db
      .select({ number: sql<number>`1`.as('number') })
      .from(account)
      .where(sql`false`),
  )
  const row = newRow(tokens, {
    user_id: account.id,
    purpose: sql`${purpose}`,
    email: account.email,
    expires_at: inMinutes(minutes),
  })
  const made = db.$with(`${prefix}made`).as(
    db
      .insert(tokens)
      .select((qb) => qb.select(row as never).from(account))
      .returning({ id: tokens.id, expires_at: tokens.expires_at }),
  )
  const token = db
    .$with(`${prefix}token`)
    .as(db.select({ id: made.id, expires_at: made.expires_at }).from(made))
  return { slot, made, token }
}
