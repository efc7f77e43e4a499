import { TooManyRequests } from '../contract/errors.ts'

/** Queue limit per key, and longest wait in milliseconds. */
interface Patience {
  readonly most: number
  readonly ms: number
}

/**
 * Runs work of the same key one at a time, of different keys concurrently.
 *
 * @throws TooManyRequests at once if the key's queue is full, or on its turn if it waited too long
 */
export function oneAtATime({ most, ms }: Patience = { most: Infinity, ms: Infinity }) {
  const lines = new Map<string, { end: Promise<unknown>; length: number }>()
  return async function inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const line = lines.get(key) ?? { end: Promise.resolve(), length: 0 }
    if (line.length > most) throw new TooManyRequests('turns')
    const latest = performance.now() + ms
    const own = line.end.then(() => {
      if (performance.now() > latest) throw new TooManyRequests('turns')
      return work()
    })
    line.end = own.catch(() => undefined)
    line.length += 1
    lines.set(key, line)
    try {
      return await own
    } finally {
      line.length -= 1
      if (line.length === 0) lines.delete(key)
    }
  }
}

/** A map of limited size; the oldest entry is removed first. */
export class Recent<T> extends Map<string, T> {
  override set(key: string, value: T): this {
    this.delete(key)
    super.set(key, value)
    if (this.size > MOST_KEYS) for (const oldest of this.keys()) return (this.delete(oldest), this)
    return this
  }
}

const MOST_KEYS = 10_000
