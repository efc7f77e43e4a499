import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import { traceIds, traced } from '../config/spans.ts'
import { DeadLink, type Messages } from './messages.ts'
import { ATTEMPT_MS, type ClaimedMail, type Outbox } from './outbox.ts'
import { CONNECTIONS, PermanentFailure, type Transport } from './transport.ts'

/**
 * Sends the mails of the outbox, each at least once, and retries failures with growing pauses. Any number of processes may
 * do so at the same time.
 */
export interface Deliverer {
  /** Looks for due mails now, after one was queued. Does not wait for them. */
  wake(): void
  /** Claims no more mails. Resolves when none is being sent, or after a few seconds. */
  stop(): Promise<void>
}

/** For retries, and for mails of processes that were killed. */
const POLL_MS = 5_000

/** Pause between tries to mark a mail as sent. */
const MARK_AGAIN_MS = 1_000

/** How long a stop waits for mails that are being sent. */
const STOP_WITHIN_MS = 3_000

/** 5 s, 10 s, 20 s … up to 15 minutes. After 50 attempts, which take about half a day, the mail is parked. */
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
    const logged = { mail: mail.id, message: mail.message, attempt: mail.attempts, ...traceIds() }
    try {
      const rendered = await messages.compose(mail)
      await transport.send({ id: mail.id, to: mail.recipient, ...rendered }, deadline)
    } catch (error) {
      const { message: reason, code } = error as Error & { code?: string }
      if (error instanceof DeadLink || error instanceof PermanentFailure || mail.attempts >= ATTEMPTS) {
        await outbox.parked(mail, reason)
        log.error({ ...logged, code }, 'mail parked: it will not be tried again')
      } else {
        await outbox.failed(mail, reason, pauseAfter(mail.attempts))
        log.warn({ ...logged, code }, 'mail not sent: it will be tried again')
      }
      return
    }
    await markSent(mail, deadline)
    log.info(logged, 'mail sent')
  }

  /** Tries until the deadline: a mail that is not marked is sent again when its lease ends. */
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

  /** Sends one mail after the other until none is due. A wake in the meantime makes it look once more. */
  async function sendAll(): Promise<void> {
    try {
      for (let seen = -1; seen !== wakes;) {
        seen = wakes
        while (await sendNext());
      }
    } catch (error) {
      logUnreachable(error)
    } finally {
      sending -= 1 // at once: a wake just after the last look starts another sender
    }
  }

  /** @returns false where no mail is due, or after a stop */
  async function sendNext(): Promise<boolean> {
    if (stopped) return false
    // Started before the claim, so that it ends before the lease does.
    const deadline = AbortSignal.timeout(attemptMs)
    const mail = await outbox.claim()
    if (!mail) return false
    startSender() // there may be more
    await tracedDelivery(mail, deadline).catch(logUnreachable)
    return true
  }

  function startSender(): void {
    if (stopped || sending >= CONNECTIONS) return
    sending += 1
    const sender = sendAll().finally(() => senders.delete(sender))
    senders.add(sender)
  }

  function wake(): void {
    wakes += 1
    startSender()
  }

  /** Nothing is lost: leases end, and a later poll finds the mails. */
  const logUnreachable = (error: unknown) => log.warn({ err: error }, 'outbox not reachable')

  async function stop() {
    stopped = true
    clearInterval(poll)
    // A silent mail server must not hold up the stop: the mail is sent again when its lease ends.
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
