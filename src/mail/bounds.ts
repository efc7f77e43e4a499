import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import type { WithSubquery } from 'drizzle-orm/subquery'
import type { Config } from '../config/config.ts'
import type { Database } from '../database/connect.ts'
import { rateLimits as table } from '../database/tables.ts'
import { mailBounds } from '../config/limits.ts'

/**
 * The limits on mails, for statements that the query builder makes: see queue.ts, which has them as SQL. To be deleted with
 * builder.ts.
 */

/** Mails with a link that anybody may ask for. Each kind is counted by itself. */
type LinkKind = 'recovery' | 'verification' | 'sign_up' | 'account_exists' | 'new_address'

/** Whom a mail is for: none or one. */
export type Recipient = WithSubquery & Record<'email' | 'is_verified', SQLWrapper>

type BoundsConfig = Pick<Config, 'RATE_LIMIT_ENABLED'>

/**
 * Parts of a statement: `allowed` is whoever of `source` may be mailed now, and is counted.
 *
 * @param known whether somebody asks from a network that the account signed in from: they have a bound of their own,
 *   which strangers can't use up
 */
export function boundedLink<Source extends Recipient>(
  db: Database,
  source: Source,
  kind: LinkKind,
  config: BoundsConfig,
  known: SQL<boolean> = sql`false`,
): { parts: WithSubquery[]; allowed: Source } {
  if (!config.RATE_LIMIT_ENABLED) return { parts: [], allowed: source }
  const { burst, every, apart } = mailBounds.link
  const counter = sql`case when ${known} then 'known ' else '' end || ${mailboxOf(source)}`
  const key = keyOf(kind, counter)
  const forgotten = sql`greatest(${table.forgotten_at}, ${time}) + ${seconds(every)}`
  // Three at once, the fourth when the first is forgotten: at most `every` after the last.
  const resumes = sql`greatest(${time} + ${seconds(apart)}, ${forgotten} - ${seconds(every * (burst - 1))})`
  const counted = db.$with(`counted_${kind}`).as(
    db
      .insert(table)
      .select(
        sql`select ${key}, ${time} + ${seconds(every)}, ${time} + ${seconds(apart)} from ${source}
          where not exists (select from ${table} where ${table.key} = ${key} and ${table.resumes_at} > ${time})`,
      )
      .onConflictDoUpdate({
        target: table.key,
        set: { forgotten_at: forgotten, resumes_at: resumes },
        setWhere: sql`${table.resumes_at} <= ${time}`,
      })
      .returning({ key: table.key }),
  )
  const allowed = db.$with(`allowed_${kind}`).as(
    db
      .select()
      .from(source as WithSubquery)
      .where(sql`exists (select from ${counted})`),
  )
  return { parts: [counted, allowed], allowed: allowed as unknown as Source }
}

/**
 * A part of a statement: `due` is when whoever is in `source` may be told of something, and there is no row where they
 * are not. A verified address is told every ten minutes at most; the second time within them waits for their end, so that
 * nothing goes untold, and speaks for what comes after it. An unverified one may be a stranger's: it is told once.
 */
export function boundedNotice(db: Database, source: Recipient, kind: string, config: BoundsConfig) {
  const { apart, unverified } = mailBounds.notice
  if (!config.RATE_LIMIT_ENABLED)
    return db.$with(`due_${kind}`).as(db.select({ due: sql`now()`.as('due') }).from(source))
  const pause = sql`case when ${source.is_verified} then ${seconds(apart)} else ${seconds(unverified)} end`
  const early = sql`case when ${source.is_verified} then ${seconds(apart)} else interval '0' end`
  const key = keyOf(kind, mailboxOf(source))
  const next = sql`greatest(${table.resumes_at}, ${time}) + (select ${pause} from ${source})`
  return db.$with(`due_${kind}`).as(
    db
      .insert(table)
      .select(sql`select ${key}, ${time} + ${pause}, ${time} + ${pause} from ${source}`)
      .onConflictDoUpdate({
        target: table.key,
        set: { forgotten_at: next, resumes_at: next },
        setWhere: sql`${table.resumes_at} <= ${time} + (select ${early} from ${source})`,
      })
      .returning({
        due: sql`case when ${table.resumes_at} - (select ${pause} from ${source}) <= ${time} then now()
          else ${table.resumes_at} - (select ${pause} from ${source}) end`.as('due'),
      }),
  )
}

/** Unlike now(), later for a statement that waited for another one's row. */
const time = sql`clock_timestamp()`
const seconds = (number: number) => sql.raw(`interval '${number} seconds'`)

/**
 * The mailbox behind an address: `ada+news@` is that of `ada@`. All addresses with a tag count as one, and the one without
 * by itself, so that whoever signs up with tags uses up nothing of its owner's. Verified ones count by themselves, too,
 * as strangers have none.
 */
function mailboxOf({ email, is_verified }: Recipient): SQL {
  const local = sql`split_part(${email}, '@', 1)`
  const untagged = sql`coalesce(nullif(split_part(${local}, '+', 1), ''), ${local})`
  return sql`concat_ws(' ', lower(${untagged} || '@' || split_part(${email}, '@', 2)),
    ${local} = ${untagged}, ${is_verified})`
}

/** Not the address itself: rows stay when an account is deleted. */
const keyOf = (kind: string, counter: SQL) =>
  sql`${sql.raw(`'${kind} '`)} || encode(sha256(convert_to(${counter}, 'UTF8')), 'hex')`
