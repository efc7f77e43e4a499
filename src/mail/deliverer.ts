import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import { traceIds, traced } from '../tracing.ts'
import { DeadLink, type Messages } from './messages.ts'
import type { ClaimedMail, Outbox } from './outbox.ts'
import { PermanentFailure, type Transport } from './transport.ts'

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
): Deliverer {
  let stopped = false
  let stopping: Promise<void> | undefined
  let running: Promise<void> | undefined
  let woken = false

  async function deliver(mail: ClaimedMail): Promise<void> {
    const about = { mail: mail.id, message: mail.message, attempt: mail.attempts, ...traceIds() }
    try {
      const rendered = await messages.compose(mail)
      await transport.send({ id: mail.id, to: mail.recipient, ...rendered })
      await outbox.sent(mail.id)
      log.info(about, 'mail sent')
    } catch (error) {
      const reason = (error as Error).message
      if (error instanceof DeadLink || error instanceof PermanentFailure || mail.attempts >= ATTEMPTS) {
        await outbox.parked(mail.id, reason)
        log.error(
          { ...about, code: (error as { code?: string }).code },
          'mail parked: it will not be tried again',
        )
      } else {
        await outbox.failed(mail.id, reason, pauseAfter(mail.attempts))
        log.warn(
          { ...about, code: (error as { code?: string }).code },
          'mail not sent: it will be tried again',
        )
      }
    }
  }

  const tracedDelivery = (mail: ClaimedMail) =>
    traced('mail', { 'mail.id': mail.id, 'mail.message': mail.message }, () => deliver(mail))

  /** Until nothing is due, or it is told to stop. */
  async function drain(): Promise<void> {
    while (woken) {
      woken = false
      const claimed = await outbox.claim()
      if (claimed.length > 0) woken = true
      await Promise.all(claimed.map((mail) => tracedDelivery(mail).catch(unreachable)))
      if (stopped) return
    }
  }

  function wake(): void {
    woken = true
    if (stopped || running) return
    running = drain()
      .catch(unreachable)
      .finally(() => (running = undefined))
  }

  /** The database is away: the mails wait there, their leases end, and a later look finds them. */
  const unreachable = (error: unknown) => log.warn({ err: error }, 'outbox not reachable')

  async function stop() {
    stopped = true
    clearInterval(poll)
    // A mail server that keeps silent does not hold up the end: the lease ends, and the mail is sent later.
    await Promise.race([running, pause(STOP_WITHIN_MS, undefined, { ref: false })])
    transport.close()
  }

  const poll = setInterval(wake, POLL_MS)
  poll.unref()

  return {
    wake,
    stop: () => (stopping ??= stop()),
  }
}
