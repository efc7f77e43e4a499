import type { Sql } from 'postgres'

/**
 * What was written, as whoever asked for it was told. At the end it is held against the rows: what was acknowledged is
 * there, and what was refused, or never answered, is there as a whole or not at all.
 */
export interface Ledger {
  /** A write that is under way or done. */
  claim(kind: string, look: Look): Claim
  /** Of an answer that no fault explains. */
  surprise(text: string): void
  /** How many were acknowledged so far. */
  acknowledged(): number
  /** Kinds of writes that were acknowledged so far. */
  kinds(): string[]
  /** Holds all claims against the rows. */
  audit(rows: Rows): Audit
}

export interface Claim {
  outcome: 'acknowledged' | 'refused' | 'unanswered'
  /** A later write takes its rows away or changes them: it is not held against them any more. */
  drop(): void
}

/** How much of a write is there. */
type Look = (rows: Rows) => 'all' | 'none' | `half: ${string}`

export interface Audit {
  readonly writes: number
  readonly acknowledged: number
  readonly refused: number
  readonly unanswered: number
  /** Kinds of writes that were acknowledged. */
  readonly kinds: readonly string[]
  /** What was acknowledged and is not there, each in words. */
  readonly lost: readonly string[]
  /** What is half there. */
  readonly halves: readonly string[]
  readonly surprises: readonly string[]
}

export function ledger(): Ledger {
  const claims: (Claim & { kind: string; look: Look; dropped: boolean })[] = []
  const surprises: string[] = []
  const count = (outcome: Claim['outcome']) => claims.filter((claim) => claim.outcome === outcome).length
  const kinds = () => [
    ...new Set(claims.flatMap(({ outcome, kind }) => (outcome === 'acknowledged' ? kind : []))),
  ]
  return {
    claim(kind, look) {
      const claim = {
        kind,
        look,
        outcome: 'unanswered' as Claim['outcome'],
        dropped: false,
        drop: () => void (claim.dropped = true),
      }
      claims.push(claim)
      return claim
    },
    acknowledged: () => count('acknowledged'),
    kinds,
    surprise: (text) => void surprises.push(text),
    audit(rows) {
      const seen = claims
        .filter(({ dropped }) => !dropped)
        .map(({ kind, outcome, look }) => ({ kind, outcome, found: look(rows) }))
      return {
        writes: claims.length,
        acknowledged: count('acknowledged'),
        refused: count('refused'),
        unanswered: count('unanswered'),
        kinds: kinds(),
        lost: seen.flatMap(({ kind, outcome, found }) =>
          outcome === 'acknowledged' && found !== 'all' ? `${kind}: ${found}` : [],
        ),
        halves: seen.flatMap(({ kind, found }) => (found.startsWith('half') ? `${kind}: ${found}` : [])),
        surprises,
      }
    },
  }
}

export interface User {
  id: string
  email: string
  is_active: boolean
  is_verified: boolean
  credentials_version: number
}
export interface Item {
  id: string
  title: string
  description: string | null
}
export interface Session {
  id: string
  user_id: string
  generation: number
}
export interface Token {
  id: string
  user_id: string
  purpose: string
}
export interface Mail {
  id: string
  user_id: string | null
  message: string
  recipient: string
  token_id: string | null
  attempts: number
  sent: boolean
  parked: boolean
  last_error: string | null
}

/** Everything that the service wrote, at one moment. */
export interface Rows {
  user(key: string): User | undefined
  items(key: string): Item[]
  session(id: string): Session | undefined
  sessionsOf(user: string): Session[]
  tokensOf(user: string, purpose: string): Token[]
  mailsTo(recipient: string, message: string): Mail[]
  readonly mails: readonly Mail[]
}

/** Runs a query, on either database. */
export type Query = <Row>(text: string) => Promise<Row[]>

/** A query by postgres.js, tried again while the server is away. */
export const queryOf =
  (sql: Sql): Query =>
  async <Row>(text: string) =>
    (await sql.unsafe(text)) as unknown as Row[]

export async function readRows(query: Query): Promise<Rows> {
  const users = await query<User>('select id, email, is_active, is_verified, credentials_version from users')
  const items = await query<Item>('select id, title, description from items')
  const sessions = await query<Session>('select id, user_id, generation from sessions')
  const tokens = await query<Token>('select id, user_id, purpose from one_time_tokens')
  const mails = await query<Mail>(`
    select id, user_id, message, recipient, token_id, attempts, sent_at is not null as sent, parked_at is not null as parked,
      last_error from emails`)
  const usersBy = group(users, ({ id, email }) => [id, email])
  const itemsBy = group(items, ({ id, title }) => [id, title])
  const sessionsBy = group(sessions, ({ id, user_id }) => [id, `of ${user_id}`])
  const tokensBy = group(tokens, ({ user_id, purpose }) => [`${user_id} ${purpose}`])
  const mailsBy = group(mails, ({ recipient, message }) => [`${recipient} ${message}`])
  return {
    user: (key) => usersBy.get(key)?.[0],
    items: (key) => itemsBy.get(key) ?? [],
    session: (id) => sessionsBy.get(id)?.[0],
    sessionsOf: (user) => sessionsBy.get(`of ${user}`) ?? [],
    tokensOf: (user, purpose) => tokensBy.get(`${user} ${purpose}`) ?? [],
    mailsTo: (recipient, message) => mailsBy.get(`${recipient} ${message}`) ?? [],
    mails,
  }
}

function group<Row>(rows: readonly Row[], keys: (row: Row) => string[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>()
  for (const row of rows)
    for (const key of keys(row)) {
      const group = groups.get(key)
      if (group) group.push(row)
      else groups.set(key, [row])
    }
  return groups
}

/**
 * All where every one of these holds, none where every one of `before` does; half otherwise.
 *
 * @param after name and truth of each thing that the write brings about
 */
export function whole(after: Record<string, boolean>, before: Record<string, boolean>): ReturnType<Look> {
  const missing = Object.keys(after).filter((name) => !after[name])
  if (missing.length === 0) return 'all'
  if (Object.values(before).every(Boolean)) return 'none'
  return `half: not ${missing.join(', not ')}`
}
