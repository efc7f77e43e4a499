import { setTimeout as pause } from 'node:timers/promises'
import type { MailServer } from '../../support/mail-server.ts'
import type { Query, Rows } from './ledger.ts'

/** What came out at the other end: the mails, by Message-ID and by link. */
export interface Post {
  /** The token of the link of a mail to somebody; undefined where none came in time. */
  link(recipient: string, path: string, withinMs: number): Promise<string | undefined>
  /** Its account is deleted, and its mails with it: none is due any more. */
  forget(recipient: string): void
  audit(rows: Rows): PostAudit
}

export interface PostAudit {
  /** Mails that were due. */
  readonly due: number
  readonly arrived: number
  /** That came more than once, each with one Message-ID. */
  readonly repeated: number
  /** Those of them that were taken from the outbox only once: sent twice by one process. */
  readonly doubled: readonly string[]
  /** Due, and did not arrive, or arrived as something else; each in words. */
  readonly lost: readonly string[]
}

const LOOK_EVERY_MS = 20

export function postOf({ mails }: Pick<MailServer, 'mails'>): Post {
  const links = new Map<string, string>()
  const forgotten = new Set<string>()
  let read = 0
  function index() {
    for (; read < mails.length; read++) {
      const { text = '', envelope } = mails[read]!
      const [, path, token] = /(\/[a-z-]+)\?token=(\S+)/.exec(text) ?? []
      if (path !== undefined && token !== undefined) links.set(`${envelope.to[0]} ${path}`, token)
    }
  }
  return {
    async link(recipient, path, withinMs) {
      for (const end = Date.now() + withinMs; Date.now() < end; await pause(LOOK_EVERY_MS)) {
        index()
        const token = links.get(`${recipient} ${path}`)
        if (token !== undefined) return token
      }
      return undefined
    },
    forget: (recipient) => void forgotten.add(recipient),
    audit(rows) {
      const arrived = new Map<string, string[]>()
      for (const { messageId = '', envelope } of mails)
        arrived.set(messageId, [...(arrived.get(messageId) ?? []), envelope.to.join()])
      // One whose link was used up before it could be sent is put aside, and says so.
      const due = rows.mails.filter(
        ({ parked, last_error }) => !parked || !last_error?.startsWith('Its link was'),
      )
      const known = new Map(rows.mails.map(({ id, recipient }) => [`<${id}@example.com>`, recipient]))
      const lost = due.flatMap(({ id, message, recipient, sent, last_error }) => {
        if (arrived.has(`<${id}@example.com>`)) return sent ? [] : `${message}: arrived, and is not marked`
        return `${message} to ${recipient}: ${sent ? 'marked as sent' : 'waits'}, ${last_error}`
      })
      const wrong = [...arrived].flatMap(([messageId, recipients]) => {
        const recipient = known.get(messageId)
        if (recipient === undefined)
          return recipients.every((one) => forgotten.has(one)) ? [] : `${messageId} is of no mail`
        return recipients.every((one) => one === recipient) ? [] : `${messageId} went to ${recipients.join()}`
      })
      const repeated = [...arrived].flatMap(([messageId, { length }]) => (length > 1 ? messageId : []))
      return {
        due: due.length,
        arrived: arrived.size,
        repeated: repeated.length,
        doubled: due
          .filter(({ id, attempts }) => attempts < 2 && repeated.includes(`<${id}@example.com>`))
          .map(({ message }) => message),
        lost: [...lost, ...wrong],
      }
    },
  }
}

/** So many looks for what is being sent at the end; what is left then had been taken by a process that was killed. */
const LOOKS_FOR_SENT = 8
const LOOKS_BETWEEN = 40

/** Housekeeping goes on with what an outage has broken off a minute later. */
const NEXT_HOUSEKEEPING_MS = 90_000

/**
 * Waits until nothing is left to be sent, and of deleted users nothing to be removed. Leases of processes that were killed
 * end now instead of in 2 minutes.
 */
export async function settle(query: Query, withinMs = 40_000): Promise<void> {
  const waiting = 'sent_at is null and parked_at is null'
  await untilNone(query, `emails where ${waiting}`, withinMs, async (round) => {
    // Not each time: what is being sent would be sent once more.
    if (round % LOOKS_BETWEEN === LOOKS_FOR_SENT)
      await query(`update emails set next_attempt_at = now() where ${waiting}`)
  })
  await untilNone(query, 'users where deleted_at is not null', NEXT_HOUSEKEEPING_MS)
}

async function untilNone(
  query: Query,
  rows: string,
  withinMs: number,
  each?: (round: number) => Promise<void>,
) {
  const end = Date.now() + withinMs
  for (let round = 0; Date.now() < end; round++) {
    const [row] = await query<{ count: number }>(`select count(*)::int from ${rows}`)
    if (row?.count === 0) return
    await each?.(round)
    await pause(250)
  }
}
