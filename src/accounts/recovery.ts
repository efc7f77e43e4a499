import { type SQL, and, inArray, sql } from 'drizzle-orm'
import type { Config } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { endSessions } from './ended-sessions.ts'
import { value, whenNeeded } from '../database/statements.ts'
import { oneTimeTokens as tokens, sessions, users } from '../database/tables.ts'
import { boundedLink } from '../mail/bounds.ts'
import { queuedMail } from '../mail/outbox.ts'
import { hasEmail } from './accounts.ts'
import { notice } from './notices.ts'
import { type FoundToken, tokenFor, useToken } from './one-time-tokens.ts'

/** The way back in for somebody who lost their password. */
export interface Recovery {
  /**
   * Queues a recovery mail where an active user has this address, and had not too many (mail/bounds.ts).
   *
   * @param isKnown whether it is asked for from a network that the account signed in from
   */
  request(email: string, isKnown: boolean): Promise<void>
  /** A token for the user of this address, who is told that a superuser sees it; undefined where there is none. */
  issue(
    email: string,
  ): Promise<{ user_id: string; email: string; token_id: string; valid_until: Date } | undefined>
  /**
   * Uses a token up: sets the password, verifies the address, ends every session and token of the user, and mails a
   * notice, in one statement. False where the token was used or expired, or the user went inactive, since it was found.
   */
  reset(token: FoundToken, hashedPassword: string, ipAddress: string): Promise<boolean>
}

type RecoveryConfig = Pick<Config, 'mail' | 'RATE_LIMIT_ENABLED' | 'EMAIL_RESET_TOKEN_EXPIRE_HOURS'>

export function recovery(db: Database, config: RecoveryConfig): Recovery {
  const run = whenNeeded(() => prepare(db, config))
  return {
    async request(email, is_known) {
      if (config.mail !== 'off') await run().request.execute({ email, is_known })
    },
    async issue(email) {
      const [issued] = await run().issue.execute({ email, ip_address: null })
      return issued
    },
    async reset(token, hashed_password, ip_address) {
      const values = { token: token.id, user: token.user_id, hashed_password, ip_address }
      const rows = await run().reset.execute(values)
      return rows.length > 0
    },
  }
}

function prepare(db: Database, config: RecoveryConfig) {
  const minutes = config.EMAIL_RESET_TOKEN_EXPIRE_HOURS * 60
  /** The parts that give whoever has the address a token. */
  const issueTo = (account: ReturnType<typeof accountOf>) => {
    const { slot, made, token } = tokenFor(db, account, 'reset_password', minutes)
    const issued = db.$with('issued').as(
      db
        .select({
          user_id: account.id,
          email: account.email,
          token_id: sql<string>`${token.id}`.as('token_id'),
          valid_until: sql`${token.expires_at}`.mapWith(tokens.expires_at).as('valid_until'),
        })
        .from(account)
        .innerJoin(token, sql`true`),
    )
    return { issued, parts: [slot, made, token, issued] }
  }

  const asked = accountOf(db, sql`${hasEmail} and ${users.is_active}`)
  const isKnown = sql<boolean>`${value('is_known')}::boolean`
  const { parts, allowed } = boundedLink(db, asked, 'recovery', config, isKnown)
  const mailed = issueTo(allowed)
  const mail = queuedMail(db, mailed.issued, 'recovery', {
    user_id: mailed.issued.user_id,
    recipient: mailed.issued.email,
    token_id: mailed.issued.token_id,
  })
  const viewed = accountOf(db, hasEmail)
  const shown = issueTo(viewed)
  return {
    request: db
      .with(asked, ...parts, ...mailed.parts, mail)
      .select()
      .from(mail)
      .prepare('recovery_request'),
    issue: db
      .with(viewed, ...shown.parts, ...notice(db, viewed, 'recovery_link_shown', viewed, config))
      .select()
      .from(shown.issued)
      .prepare('recovery_issue'),
    reset: prepareReset(db, config),
  }
}

const accountOf = (db: Database, condition: SQL) =>
  db.$with('account').as(
    db
      .select({ id: users.id, email: users.email, is_verified: users.is_verified })
      .from(users)
      .where(condition)
      // Held until the token is there: a deletion waits, or this finds nobody.
      .for('key share'),
  )

function prepareReset(db: Database, config: Pick<Config, 'mail' | 'RATE_LIMIT_ENABLED'>) {
  const { locked, used, stillTheirs } = useToken(db, users.is_active)
  const account = db.$with('account').as(
    db
      .update(users)
      .set({
        hashed_password: sql`${value('hashed_password')}`,
        claimed_password_hash: null,
        is_verified: true,
        credentials_version: sql`${users.credentials_version} + 1`,
      })
      .from(used)
      .where(stillTheirs)
      .returning({ id: users.id, email: users.email, is_verified: users.is_verified }),
  )
  const ids = db.select({ id: account.id }).from(account)
  const ended = db.$with('ended').as(endSessions(db, inArray(sessions.user_id, ids)))
  const dead = db.$with('dead').as(
    db
      .delete(tokens)
      .where(and(inArray(tokens.user_id, ids), sql`${tokens.id} <> ${value('token')}`))
      .returning(),
  )
  const told = notice(db, account, 'password_changed', account, config)
  return db
    .with(locked, used, account, ended, dead, ...told)
    .select()
    .from(account)
    .prepare('recovery_reset')
}
