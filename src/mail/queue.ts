import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../config/config.ts'
import { mailBounds } from '../config/limits.ts'
import { type MessageName, emails, rateLimits } from '../database/tables.ts'

/**
 * Parts of statements that write mails into the outbox. A mail is written by the statement that is its cause, so that there
 * is never a mail without it, and none is missing but for the limits below. Each part is one or more CTEs, `name as (…)`, to
 * stand in a `with` list; `from` is the name of the CTE whose rows (none or one) it is about.
 *
 * How many mails others can have sent to somebody is counted by the same statement, in a row of rate_limits, so that of
 * many at once no more pass than one after the other. Whoever asked for more is answered alike: nobody learns who has an
 * account, and nobody keeps the owner from asking.
 */

type QueueConfig = Pick<Config, 'mail' | 'RATE_LIMIT_ENABLED'>

/** What a mail has beside its message and its recipient. */
interface MailParts {
  /** Name of a CTE of one row, whose `id` is that of the token that the mail's link carries. */
  readonly token?: string
  /** An expression of JSON: what the message says of its cause, see mail/cause.ts. */
  readonly params?: SQL
  /** Name of a CTE of one row or none, whose `due` is when it is to be sent; it is not, where there is no row. */
  readonly due?: string
}

/**
 * `mail_<message>`: a mail for each row (`id` of a user, `email`) of `from`; has the `id` of the mail.
 */
export function queueMail(message: MessageName, from: string, parts: MailParts = {}): SQL {
  const { token, params = sql`'{}'::jsonb`, due } = parts
  const sources = [from, token, due].filter((name) => name !== undefined).join(', ')
  return sql`${sql.raw(`mail_${message}`)} as (
    insert into ${emails} (user_id, message, recipient, token_id, params, next_attempt_at)
    select ${column(from, 'id')}, ${text(message)}, ${column(from, 'email')},
      ${token === undefined ? sql`null` : column(token, 'id')}, ${params},
      ${due === undefined ? sql`now()` : column(due, 'due')}
    from ${sql.raw(sources)}
    returning id
  )`
}

/** What a mail says of its cause (mail/cause.ts): the network address and the program that it came from. */
export const cause = (v: Readonly<Record<'ip_address' | 'user_agent', SQL>>) =>
  sql`jsonb_build_object('from', ${v.ip_address}::text, 'device', ${v.user_agent}::text)`

/** The same of what a superuser did to somebody else's account. */
export const byAdministrator = sql`jsonb_build_object('from', null::text)`

/** Mails with a link that anybody may ask for. Each kind is counted by itself. */
type LinkKind = 'recovery' | 'verification' | 'sign_up' | 'account_exists' | 'new_address'

/**
 * `allowed_<kind>`: the rows of `from` (`email`, `is_verified`, …) that may be mailed a link now, which counts it. Three
 * at once, ten minutes apart, then one an hour.
 *
 * @param isKnown an expression: whether somebody asks from a network that the account signed in from. They have a limit of
 *   their own, which strangers can't use up
 */
export function limitLinks(kind: LinkKind, from: string, config: QueueConfig, isKnown = sql`false`): SQL {
  const allowed = sql.raw(`allowed_${kind}`)
  const source = sql.raw(from)
  if (!config.RATE_LIMIT_ENABLED) return sql`${allowed} as (select * from ${source})`
  const { burst, every, apart } = mailBounds.link
  const [asked, counted] = [sql.raw(`asked_${kind}`), sql.raw(`counted_${kind}`)]
  const forgotten = sql`greatest(${rateLimits.forgotten_at}, clock_timestamp()) + ${seconds(every)}`
  // The fourth passes when the first is forgotten: at most `every` after the last.
  return sql`${asked} as (
    select ${keyOf(kind, sql`case when ${isKnown} then 'known ' else '' end || ${mailboxOf(from)}`)} as key from ${source}
  ),
  ${counted} as (
    insert into ${rateLimits} (key, forgotten_at, resumes_at)
    select key, clock_timestamp() + ${seconds(every)}, clock_timestamp() + ${seconds(apart)}
    from ${asked}
    where not exists (
      select from ${rateLimits} where ${rateLimits.key} = ${asked}.key and ${rateLimits.resumes_at} > clock_timestamp()
    )
    on conflict (key) do update set
      forgotten_at = ${forgotten},
      resumes_at = greatest(clock_timestamp() + ${seconds(apart)}, ${forgotten} - ${seconds(every * (burst - 1))})
    where ${rateLimits.resumes_at} <= clock_timestamp()
    returning key
  ),
  ${allowed} as (select * from ${source} where exists (select from ${counted}))`
}

/** Mails about what happened to an account (OWASP ASVS 6.3.7). */
type Notice =
  | 'password_changed'
  | 'address_changed'
  | 'own_address_changed'
  | 'way_in_changed'
  | 'recovery_code_used'
  | 'session_ended'
  | 'recovery_link_shown'

/** The link of a notice. */
interface NoticeLink {
  /** Name of the CTE that `token` makes, whose `id` is that of the link's token. */
  readonly name: string
  /** Makes it for whoever is in `from` (as in `notify`): the notice is due, or waits. */
  readonly token: (from: string) => SQL
}

/**
 * `mail_<message>`: a mail that tells whoever is in `from` (`id`, `email`, `is_verified`). A verified address is told every
 * ten minutes at most; the second time within them waits for their end, so that nothing goes untold, and speaks for what
 * comes after it. An unverified one may be a stranger's: it is told once in ten days.
 *
 * @param params an expression of JSON: what it says of its cause
 */
export function notify(
  message: Notice,
  from: string,
  config: QueueConfig,
  params: SQL,
  link?: NoticeLink,
): SQL {
  const [told, due, linked] = [`told_${message}`, `due_${message}`, `linked_${message}`]
  const isOn = config.mail === 'off' ? sql`false` : sql`true`
  const { apart, unverified } = mailBounds.notice
  return sql`${sql.raw(told)} as (
    select id, email, ${keyOf(message, mailboxOf(from))} as key,
      case when is_verified then ${seconds(apart)} else ${seconds(unverified)} end as pause,
      case when is_verified then ${seconds(apart)} else interval '0' end as early
    from ${sql.raw(from)} where ${isOn}
  ),
  ${sql.raw(due)} as (${config.RATE_LIMIT_ENABLED ? limitNotice(sql.raw(told)) : sql`select now() as due from ${sql.raw(told)}`}),
  ${link ? sql`${sql.raw(linked)} as (select ${sql.raw(from)}.* from ${sql.raw(from)}, ${sql.raw(due)}), ${link.token(linked)},` : sql``}
  ${queueMail(message, told, { params, due, ...(link && { token: link.name }) })}`
}

/** When it is due; no row where another one is due already, or an unverified address was told. */
const limitNotice = (told: SQL) => sql`
    insert into ${rateLimits} (key, forgotten_at, resumes_at)
    select key, clock_timestamp() + pause, clock_timestamp() + pause from ${told}
    on conflict (key) do update set
      forgotten_at = greatest(${rateLimits.resumes_at}, clock_timestamp()) + (select pause from ${told}),
      resumes_at = greatest(${rateLimits.resumes_at}, clock_timestamp()) + (select pause from ${told})
    where ${rateLimits.resumes_at} <= clock_timestamp() + (select early from ${told})
    returning case
      when ${rateLimits.resumes_at} - (select pause from ${told}) <= clock_timestamp() then now()
      else ${rateLimits.resumes_at} - (select pause from ${told})
    end as due
  `

const column = (table: string, name: string) => sql.raw(`${table}.${name}`)
const text = (literal: string) => sql.raw(`'${literal}'`)
const seconds = (number: number) => sql.raw(`interval '${number} seconds'`)

/**
 * The mailbox behind an address: `ada+news@` is that of `ada@`. All addresses with a tag count as one, and the one without
 * by itself, so that whoever signs up with tags uses up nothing of its owner's. Verified ones count by themselves, too,
 * as strangers have none.
 */
function mailboxOf(from: string): SQL {
  const email = column(from, 'email')
  const local = sql`split_part(${email}, '@', 1)`
  const untagged = sql`coalesce(nullif(split_part(${local}, '+', 1), ''), ${local})`
  return sql`concat_ws(' ', lower(${untagged} || '@' || split_part(${email}, '@', 2)),
    ${local} = ${untagged}, ${column(from, 'is_verified')})`
}

/** Not the address itself: rows stay when an account is deleted. */
const keyOf = (kind: string, counter: SQL) =>
  sql`${text(`${kind} `)} || encode(sha256(convert_to(${counter}, 'UTF8')), 'hex')`
