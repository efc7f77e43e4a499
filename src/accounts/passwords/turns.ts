import { ServiceUnavailable, TooManyRequests } from '../../contract/errors.ts'

/** Whom a job is for. */
export interface Turn {
  /** Networks and accounts, each limited to a part of the queue. */
  readonly shares: readonly Share[]
  /** Aborted when the client has left. */
  readonly gone: AbortSignal
}

export interface Share {
  readonly key: string
  /** Part of the queue, such as 1/8. */
  readonly part: number
}

/** No shares, and never aborted. */
export const ANYBODY: Turn = { shares: [], gone: new AbortController().signal }

export interface TurnLimits {
  /** Jobs that run at once. */
  readonly running: number
  /** Jobs that wait. */
  readonly waiting: number
  /** Milliseconds that one waits at most. */
  readonly patience: number
}

/**
 * A bounded, fair queue: each share may hold a limited number of places, and a job whose client has left, or that waited
 * too long, is dropped without being run.
 */
export function turns({ running: atOnce, waiting: most, patience }: TurnLimits) {
  const ahead = new Set<() => void>()
  const waiting = new Set<() => void>()
  const held = new Map<string, number>()
  const whenIdle: (() => void)[] = []
  let running = 0

  /** @throws ServiceUnavailable if the queue is full, TooManyRequests if a share is */
  function admit({ shares }: Turn) {
    for (const { key, part } of shares)
      if ((held.get(key) ?? 0) >= Math.max(1, most * part)) throw new TooManyRequests('hashing')
    if (running >= atOnce && waiting.size >= most) throw new ServiceUnavailable()
  }

  function hold({ shares }: Turn, change: 1 | -1) {
    for (const { key } of shares) {
      const places = (held.get(key) ?? 0) + change
      if (places === 0) held.delete(key)
      else held.set(key, places)
    }
  }

  /** Resolves when the job may run. */
  async function place({ gone }: Turn, line: Set<() => void>): Promise<void> {
    gone.throwIfAborted()
    if (running < atOnce) return void (running += 1)
    return new Promise((resolve, reject) => {
      const leave = () => {
        line.delete(begin)
        clearTimeout(timer)
        gone.removeEventListener('abort', abort)
      }
      const begin = () => {
        leave()
        running += 1
        resolve()
      }
      const giveUp = (error: Error) => {
        leave()
        reject(error)
      }
      const abort = () => giveUp(gone.reason as Error)
      const timer = setTimeout(() => giveUp(new ServiceUnavailable()), patience)
      gone.addEventListener('abort', abort)
      line.add(begin)
    })
  }

  function end() {
    running -= 1
    const [begin] = ahead.size > 0 ? ahead : waiting
    if (begin) begin()
    else if (running === 0) for (const idle of whenIdle.splice(0)) idle()
  }

  async function run<T>(work: () => Promise<T>, turn: Turn, line: Set<() => void>): Promise<T> {
    hold(turn, 1)
    try {
      await place(turn, line)
      try {
        return await work()
      } finally {
        end()
      }
    } finally {
      hold(turn, -1)
    }
  }

  return {
    admit,
    /** Queues and runs a job. @throws as `admit`; ServiceUnavailable after a too long wait; the reason of `gone` */
    async take<T>(work: () => Promise<T>, turn: Turn): Promise<T> {
      admit(turn)
      return run(work, turn, waiting)
    },
    /** Runs a job ahead of the queue; never refused. For a second job of somebody whose first one just ran. */
    again: <T>(work: () => Promise<T>, turn: Turn): Promise<T> => run(work, turn, ahead),
    load: () => ({ running, waiting: ahead.size + waiting.size }),
    /** Resolves when the queue is empty and nothing runs. */
    idle: (): Promise<void> =>
      running === 0 ? Promise.resolve() : new Promise((resolve) => whenIdle.push(resolve)),
  }
}
