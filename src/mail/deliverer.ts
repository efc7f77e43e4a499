import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import { traceIds, traced } from '../config/spans.ts'
import { DeadLink, type Messages } from './messages.ts'
import { ATTEMPT_MS, type ClaimedMail, type Outbox } from './outbox.ts'
import { CONNECTIONS, PermanentFailure, type Transport } from './transport.ts'

/**
 * Takes mails out of the outbox and sends them: at least once, a failed one again and again with growing pauses.
 * Any number of processes may do so at the same time.
 */
export interface Deliverer {
  /** Something was put into the outbox: look now. Does not wait. */
  wake(): void
  /** Resolves when nothing is being sent; no more is taken from then on. */
  stop(): Promise<void>
}

/** How often to look without being told: for retries, and mails of processes that ended. */
const POLL_MS = 5_000

/** Until what could not be marked as sent is marked again. */
const MARK_AGAIN_MS = 1_000

/** How long a stop waits for the mails that are being sent. */
const STOP_WITHIN_MS = 3_000

/** 5 s, 10 s, 20 s … up to 15 minutes; after 50 tries, most of half a day, the mail is put aside. */
const FIRST_PAUSE_SECONDS = 5
const LONGEST_PAUSE_SECONDS = 900
const ATTEMPTS = 50

export const pauseAfter = (attempts: number) =>
  Math.min(FIRST_PAUSE_SECONDS * 2 ** (attempts - 1), LONGEST_PAUSE_SECONDS)

export function deliverer(
  outbox: Outbox,
  messages: Messages,
  transport: Transport,
  log: Pick<Logger, 'info' | 'warn' | 'error'>,
  attemptMs = ATTEMPT_MS,
): Deliverer {
  let stopped = false
  let stopping: Promise<void> | undefined
  let wakes = 0
  let sending = 0
  const senders = new Set<Promise<void>>()

  /** @param deadline ends the attempt, before the lease of the mail does */
  async function deliver(mail: ClaimedMail, deadline: AbortSignal): Promise<void> {
    const about = { mail: mail.id, message: mail.message, attempt: mail.attempts, ...traceIds() }
    try {
      const rendered = await messages.compose(mail)
      await transport.send({ id: mail.id, to: mail.recipient, ...rendered }, deadline)
    } catch (error) {
      const reason = (error as Error).message
      if (error instanceof DeadLink || error instanceof PermanentFailure || mail.attempts >= ATTEMPTS) {
        await outbox.parked(mail, reason)
        log.error(
          { ...about, code: (error as { code?: string }).code },
          'mail parked: it will not be tried again',
        )
      } else {
        await outbox.failed(mail, reason, pauseAfter(mail.attempts))
        log.warn(
          { ...about, code: (error as { code?: string }).code },
          'mail not sent: it will be tried again',
        )
      }
      return
    }
    await markSent(mail, deadline)
    log.info(about, 'mail sent')
  }

  /** Tries until the attempt is over: a mail that is not marked is sent again when its lease ends. */
  async function markSent(mail: ClaimedMail, deadline: AbortSignal): Promise<void> {
    for (;;)
      try {
        return await outbox.sent(mail.id)
      } catch (error) {
        if (stopped || deadline.aborted) throw error
        await pause(MARK_AGAIN_MS)
      }
  }

  const tracedDelivery = (mail: ClaimedMail, deadline: AbortSignal) =>
    traced('mail', { 'mail.id': mail.id, 'mail.message': mail.message }, () => deliver(mail, deadline))

  /** Sends one mail after the other, until nothing is due and nobody called meanwhile, or it is told to stop. */
  async function send(): Promise<void> {
    try {
      for (let heard = -1; heard !== wakes;) {
        heard = wakes
        while (await sendNext());
      }
    } catch (error) {
      unreachable(error)
    } finally {
      sending -= 1
    }
  }

  /** @returns false where no mail is due, or it is told to stop */
  async function sendNext(): Promise<boolean> {
    if (stopped) return false
    // From before the claim, as the lease counts from within it.
    const deadline = AbortSignal.timeout(attemptMs)
    const [mail] = await outbox.claim()
    if (!mail) return false
    startSender() // where there is one, there may be more
    await tracedDelivery(mail, deadline).catch(unreachable)
    return true
  }

  function startSender(): void {
    if (stopped || sending >= CONNECTIONS) return
    sending += 1
    const sender = send().finally(() => senders.delete(sender))
    senders.add(sender)
  }

  function wake(): void {
    wakes += 1
    startSender()
  }

  /** The database is away: the mails wait there, their leases end, and a later look finds them. */
  const unreachable = (error: unknown) => log.warn({ err: error }, 'outbox not reachable')

  async function stop() {
    stopped = true
    clearInterval(poll)
    // A mail server that keeps silent does not hold up the end: the lease ends, and the mail is sent later.
    await Promise.race([Promise.all(senders), pause(STOP_WITHIN_MS, undefined, { ref: false })])
    transport.close()
  }

  const poll = setInterval(wake, POLL_MS)
  poll.unref()

  return {
    wake,
    stop: () => (stopping ??= stop()),
  }
}
