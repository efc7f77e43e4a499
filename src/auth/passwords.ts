import { availableParallelism } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { hash as argon2Hash, verify as argon2Verify } from '@node-rs/argon2'
import { promise as workQueue } from 'fastq'
import type { Piscina } from 'piscina'
import { ServiceUnavailable } from '../errors.ts'
import { traced } from '../tracing.ts'

/**
 * argon2id with 64 MiB, three passes, four lanes: above OWASP's minimum (Password Storage Cheat Sheet), and the
 * parameters of the FastAPI template, so that hashes made there are current here.
 */
export const COST: HashingCost = { memoryCost: 65_536, timeCost: 3, parallelism: 4 }

export interface HashingCost {
  /** KiB. */
  readonly memoryCost: number
  /** Passes over them. */
  readonly timeCost: number
  /** Lanes, each a thread. */
  readonly parallelism: number
}

/** Salt and hash of a password that nobody knows: verifying against it fails as slowly as against anybody's. */
const NOBODYS = '8eJPheyHmBlhgKGyNGhXxw$JWxDto8vbia2vsomlj7wtaEidaJL2O5lqXZAyHlNFHc'

/** How hashing went, and whether the stored hash should be replaced by one with the current parameters. */
export interface Verification {
  readonly matches: boolean
  readonly outdated: boolean
}

export interface Passwords {
  /**
   * To be asked before anything else is done for a hash.
   *
   * @throws ServiceUnavailable when too many wait already
   */
  admit(): void
  /** @throws ServiceUnavailable when too many wait already */
  hash(password: string): Promise<string>
  /** Hashes a password that was found right, ahead of all that wait: a sign-in that has come so far is finished. */
  renew(password: string): Promise<string>
  /**
   * Compares a password with a stored hash (argon2, or bcrypt of older services). Without a hash it takes the
   * same time and never matches, so that an answer's time does not tell whether an address is known.
   *
   * @param settle is told first whether it matches. What it throws is thrown, after the time of one that does not
   * @throws ServiceUnavailable when too many wait already
   */
  verify(
    hash: string | undefined,
    password: string,
    settle?: (matches: boolean) => Promise<void>,
  ): Promise<Verification>
  /** How many have their turn, and how many wait for it. */
  load(): Pick<HashingLimits, 'running' | 'waiting'>
  close(): Promise<void>
}

export interface HashingLimits {
  /** What a new hash costs; less only where a test is about something else. */
  readonly cost: HashingCost
  /** Passwords whose turn it is, as many as there are cores. Half as many are argon2's at a time, each in 64 MiB. */
  readonly running: number
  /** Hashes that wait for their turn; at about 30 a second on two cores, the last one waits 2 s. */
  readonly waiting: number
  /**
   * Milliseconds that a comparison takes at least where it fails. Hashes of older services are cheaper or dearer than
   * today's; all are compared within this time (bcrypt at cost 12 in 250 ms), so that it does not show who has one.
   */
  readonly failing: number
}

const cores = availableParallelism()
const defaults: HashingLimits = { cost: COST, running: cores, waiting: 32 * cores, failing: 400 }

/**
 * bcryptjs is JavaScript and would stall the event loop, so it runs in threads that end when idle for a minute. Loaded
 * for the first hash of an older service.
 */
async function bcryptThreads(): Promise<Piscina<{ password: string; hash: string }, boolean>> {
  const { Piscina: Threads } = await import('piscina')
  return new Threads({
    filename: new URL('./bcrypt-worker.mjs', import.meta.url).href,
    minThreads: 0,
    maxThreads: cores,
    idleTimeout: 60_000,
  })
}

type Work = () => Promise<unknown>
const turns = (atOnce: number) => workQueue<unknown, Work, unknown>((work) => work(), atOnce)

/** Password hashing off the event loop, with a bound on how much of it runs and waits at once. */
export function passwords(given: Partial<HashingLimits> = {}): Passwords {
  const limits = { ...defaults, ...given }
  const { memoryCost, timeCost, parallelism } = limits.cost
  const current = `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$`
  const queue = turns(limits.running)
  // The lanes of one hash keep two cores busy. Those of two at once get in each other's way there, in twice the memory:
  // eight sign-ins a hundred less.
  const argon2 = turns(Math.ceil(limits.running / 2))
  let bcrypt: ReturnType<typeof bcryptThreads> | undefined

  function admit() {
    if (queue.running() >= limits.running && queue.length() >= limits.waiting) throw new ServiceUnavailable()
  }

  async function bounded<T>(work: () => Promise<T>): Promise<T> {
    admit()
    return traced('hash', {}, () => queue.push(work) as Promise<T>)
  }

  const argon2Of = (password: string) => () => argon2Hash(password, limits.cost)

  async function matches(hash: string, password: string): Promise<boolean> {
    if (hash.startsWith('$argon2'))
      return argon2.push(() => argon2Verify(hash, password).catch(() => false)) as Promise<boolean> // a damaged hash
    if (/^\$2[aby]\$/.test(hash))
      return (await (bcrypt ??= bcryptThreads())).run({ password, hash }).catch(() => false)
    return false // Another scheme, or an account that was closed by writing something else.
  }

  return {
    admit,
    hash: (password) => bounded(() => argon2.push(argon2Of(password)) as Promise<string>),
    renew: (password) =>
      traced('hash', {}, () => queue.unshift(() => argon2.unshift(argon2Of(password))) as Promise<string>),
    async verify(hash, password, settle = () => Promise.resolve()) {
      // From its turn on, as a queue takes longer than this.
      let start = 0
      const matched = await bounded(() => {
        start = performance.now()
        return matches(hash ?? current + NOBODYS, password)
      })
      let passes = false
      try {
        await settle(matched)
        passes = matched
      } finally {
        if (!passes) await until(start + limits.failing)
      }
      return { matches: matched, outdated: hash !== undefined && !hash.startsWith(current) }
    },
    load: () => ({ running: queue.running(), waiting: queue.length() }),
    async close() {
      await queue.drained()
      await (await bcrypt)?.destroy()
    },
  }
}

/** Timers count from when the event loop last looked at the clock, so one alone can be early. */
async function until(end: number): Promise<void> {
  for (let left = end - performance.now(); left > 0; left = end - performance.now()) await pause(left)
}
