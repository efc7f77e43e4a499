import { type SQLWrapper, and, eq, inArray, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Config } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { inMinutes, newRow, value, whenNeeded } from '../database/statements.ts'
import { type TokenPurpose, oneTimeTokens as tokens, users } from '../database/tables.ts'
import { signedIds } from '../config/signed-ids.ts'

/**
 * The right to do one thing once, mailed as `id.mac`. Bound to purpose and address, and dead once it or another of
 * its kind is used, or the password or the address changes. At most three of a kind live at once: asking for more
 * sends the newest of them again, so that a stranger who keeps asking does not kill the owner's.
 */
export interface OneTimeTokens {
  /** The text that is mailed. */
  sign(purpose: TokenPurpose, id: string): string
  /** The row behind a text, its user's state beside it. Undefined where forged, of another purpose, used, or expired. */
  find(purpose: TokenPurpose, text: string): Promise<FoundToken | undefined>
}

export interface FoundToken {
  readonly id: string
  readonly user_id: string
  readonly email: string
  readonly user_is_active: boolean
}

export function oneTimeTokens(db: Database, config: Pick<Config, 'SECRET_KEY'>): OneTimeTokens {
  const keys = {
    reset_password: signedIds(config.SECRET_KEY, 'one-time-token/reset_password'),
    verify_email: signedIds(config.SECRET_KEY, 'one-time-token/verify_email'),
  } satisfies Record<TokenPurpose, unknown>
  const find = whenNeeded(() => prepareFind(db))

  return {
    sign: (purpose, id) => keys[purpose].sign(id),
    async find(purpose, text) {
      const id = keys[purpose].open(text)
      if (id === undefined) return undefined
      const [token] = await find().execute({ id, purpose })
      return token
    },
  }
}

function prepareFind(db: Database) {
  return db
    .select({ id: tokens.id, user_id: users.id, email: users.email, user_is_active: users.is_active })
    .from(tokens)
    .innerJoin(users, eq(users.id, tokens.user_id))
    .where(
      and(
        eq(tokens.id, value('id')),
        eq(tokens.purpose, value('purpose') as never),
        sql`lower(${tokens.email}) = lower(${users.email})`,
        sql`${tokens.expires_at} > now()`,
      ),
    )
    .prepare('token_find')
}

const SLOTS = 3

/**
 * Parts of a statement that give the user of `account` (a CTE of one row or none) a token: a new one in the first
 * free slot, or the newest live one where none is free. `token` has one row then, of id and expires_at.
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
  const live = sql`(
    ${tokens.user_id} = ${account.id} and ${tokens.purpose} = ${purpose}
    and ${tokens.expires_at} > now() and lower(${tokens.email}) = lower(${account.email})
  )`
  const slot = db.$with(`${prefix}slot`).as(
    db
      .select({ number: sql<number>`min(number)`.as('number') })
      .from(account)
      .innerJoin(
        sql`generate_series(1, ${sql.raw(String(SLOTS))}) as number`,
        sql`not exists (select from ${tokens} where ${live} and ${tokens.slot} = number)`,
      )
      .having(sql`count(*) > 0`),
  )
  const row = newRow(tokens, {
    user_id: account.id,
    purpose: sql`${purpose}`,
    slot: slot.number,
    email: account.email,
    expires_at: inMinutes(minutes),
  })
  const isDead = sql`(${tokens.expires_at} <= now() or lower(${tokens.email}) <> lower(excluded.email))`
  /** Whoever takes a slot first has it, and the others get that token; one that is dead makes room. */
  const unlessLive = (column: PgColumn) =>
    sql`case when ${isDead} then ${sql.raw(`excluded.${column.name}`)} else ${column} end`
  const made = db.$with(`${prefix}made`).as(
    db
      .insert(tokens)
      .select((qb) =>
        qb
          .select(row as never)
          .from(account)
          .innerJoin(slot, sql`true`),
      )
      .onConflictDoUpdate({
        target: [tokens.user_id, tokens.purpose, tokens.slot],
        set: {
          id: unlessLive(tokens.id),
          email: unlessLive(tokens.email),
          created_at: unlessLive(tokens.created_at),
          expires_at: unlessLive(tokens.expires_at),
        },
      })
      .returning({ id: tokens.id, expires_at: tokens.expires_at }),
  )
  const newest = db
    .select({ id: tokens.id, expires_at: tokens.expires_at })
    .from(tokens)
    .innerJoin(account, live)
    .where(sql`not exists (select from ${made})`)
    .orderBy(sql`${tokens.created_at} desc`)
    .limit(1)
  const token = db
    .$with(`${prefix}token`)
    .as(db.select({ id: made.id, expires_at: made.expires_at }).from(made).unionAll(newest))
  return { slot, made, token }
}

/**
 * Parts of a statement that use up the token named `token` of the user named `user`: `used` has its row then, and none
 * where it was used, expired, or `condition` does not hold for the user.
 */
export function useToken(db: Database, condition?: SQLWrapper) {
  // The user's row first: two links of one user used at once wait for each other here, and only here.
  const locked = db.$with('locked').as(
    db
      .select({ id: users.id })
      .from(users)
      .where(and(eq(users.id, value('user')), condition?.getSQL()))
      .for('no key update'),
  )
  const used = db.$with('used').as(
    db
      .delete(tokens)
      .where(
        and(
          eq(tokens.id, value('token')),
          inArray(tokens.user_id, db.select({ id: locked.id }).from(locked)),
          sql`${tokens.expires_at} > now()`,
        ),
      )
      .returning({ user_id: tokens.user_id, email: tokens.email }),
  )
  /** The user, where the address is still the one that the token was mailed to. */
  const stillTheirs = and(eq(users.id, used.user_id), sql`lower(${users.email}) = lower(${used.email})`)
  return { locked, used, stillTheirs }
}
