import { ServiceUnavailable, TooManyRequests } from '../../contract/errors.ts'

/** For whom something is done. */
export interface Turn {
  /** Networks and accounts, each of which may hold only a part of the queue. */
  readonly shares: readonly Share[]
  /** Aborted as soon as nobody waits for the answer any more. */
  readonly gone: AbortSignal
}

export interface Share {
  readonly key: string
  /** Of all places, such as 1/8. */
  readonly part: number
}

/** Nobody in particular, who waits as long as it takes. */
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
 * A bounded queue, in which nobody stands in the way of others: each share holds so many places at most, and what
 * nobody waits for any more, or what waited too long, gives its place back without being run.
 */
export function turns({ running: atOnce, waiting: most, patience }: TurnLimits) {
  const ahead = new Set<() => void>()
  const waiting = new Set<() => void>()
  const held = new Map<string, number>()
  const whenIdle: (() => void)[] = []
  let running = 0

  /** @throws ServiceUnavailable where the queue is full, TooManyRequests where one of the shares is */
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

  /** Resolves when its turn has come. */
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
    /** Runs it when its turn has come. @throws as `admit`; ServiceUnavailable where that takes too long; why it is `gone` */
    async take<T>(work: () => Promise<T>, turn: Turn): Promise<T> {
      admit(turn)
      return run(work, turn, waiting)
    },
    /** The same, ahead of all that wait, and never refused: for somebody whose turn it was a moment ago. */
    again: <T>(work: () => Promise<T>, turn: Turn): Promise<T> => run(work, turn, ahead),
    load: () => ({ running, waiting: ahead.size + waiting.size }),
    /** Resolves when nothing runs, nor waits. */
    idle: (): Promise<void> =>
      running === 0 ? Promise.resolve() : new Promise((resolve) => whenIdle.push(resolve)),
  }
}
