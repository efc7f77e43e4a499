import { availableParallelism } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { hash as argon2Hash, verify as argon2Verify } from '@node-rs/argon2'
import { promise as workQueue } from 'fastq'
import type { Piscina } from 'piscina'
import { traced } from '../../config/spans.ts'
import { normalPassword, typedForms } from '../../text/normal-password.ts'
import { ANYBODY, type Turn, turns } from './turns.ts'

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
  /** Whether it is the password that is only claimed. */
  readonly isClaimed: boolean
  readonly outdated: boolean
}

export interface Passwords {
  /**
   * To be asked before anything else is done for a hash.
   *
   * @throws ServiceUnavailable when too many wait already, TooManyRequests when too many of the same wait
   */
  admit(turn?: Turn): void
  /** @throws as `admit`; ServiceUnavailable where it would take too long; why nobody waits for it any more */
  hash(password: string, turn?: Turn): Promise<string>
  /** Hashes for somebody whose password was found right, ahead of all that wait: who has come so far is finished. */
  renew(password: string, turn?: Turn): Promise<string>
  /**
   * Compares a password with a stored hash (argon2, or bcrypt of older services). Without a hash it takes the
   * same time and never matches, so that an answer's time does not tell whether an address is known.
   *
   * @param settle is told first whether it matches. What it throws is thrown, after the time of one that does not
   * @param claimed a hash to compare with where the first does not match; null where there is none, which takes the same
   *   time. What matches it still takes the time of one that fails
   * @throws as `hash`
   */
  verify(
    hash: string | undefined,
    password: string,
    settle?: (matches: boolean) => Promise<void>,
    turn?: Turn,
    claimed?: string | null,
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
   * Milliseconds that one waits for its turn at most. Half of what an answer may take (http/deadline.ts), so that
   * what is begun is in time.
   */
  readonly patience: number
  /**
   * Milliseconds that a comparison takes at least where it fails. Hashes of older services are cheaper or dearer than
   * today's; all are compared within this time (bcrypt at cost 12 in 250 ms), so that it does not show who has one.
   */
  readonly failing: number
}

const cores = availableParallelism()
const defaults: HashingLimits = {
  cost: COST,
  running: cores,
  waiting: 32 * cores,
  patience: 5_000,
  failing: 400,
}

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

/** Password hashing off the event loop, with a bound on how much of it runs and waits at once. */
export function passwords(given: Partial<HashingLimits> = {}): Passwords {
  const limits = { ...defaults, ...given }
  const { memoryCost, timeCost, parallelism } = limits.cost
  const current = `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$`
  const queue = turns(limits)
  // The lanes of one hash keep two cores busy. Those of two at once get in each other's way there, in twice the memory:
  // eight sign-ins a hundred less.
  const argon2 = workQueue<unknown, Work, unknown>((work) => work(), Math.ceil(limits.running / 2))
  let bcrypt: ReturnType<typeof bcryptThreads> | undefined

  const argon2Of = (password: string) => () => argon2Hash(normalPassword(password), limits.cost)

  async function matches(hash: string, password: string): Promise<boolean> {
    if (hash.startsWith('$argon2'))
      return argon2.push(() => argon2Verify(hash, password).catch(() => false)) as Promise<boolean> // a damaged hash
    if (/^\$2[aby]\$/.test(hash))
      return (await (bcrypt ??= bcryptThreads())).run({ password, hash }).catch(() => false)
    return false // Another scheme, or an account that was closed by writing something else.
  }

  return {
    admit: (turn = ANYBODY) => queue.admit(turn),
    hash: (password, turn = ANYBODY) =>
      traced('hash', {}, () => queue.take(() => argon2.push(argon2Of(password)) as Promise<string>, turn)),
    renew: (password, turn = ANYBODY) =>
      traced('hash', {}, () =>
        queue.again(() => argon2.unshift(argon2Of(password)) as Promise<string>, turn),
      ),
    async verify(hash, password, settle = () => Promise.resolve(), turn = ANYBODY, claimed?: string | null) {
      // From its turn on, as a queue takes longer than this.
      let start = 0
      /** The form that fits. Whose text is normal already is compared once, whoever it is. */
      const formOf = async (hash: string) => {
        for (const form of typedForms(password)) if (await matches(hash, form)) return form
        return undefined
      }
      const compare = async () => {
        start = performance.now()
        const form = await formOf(hash ?? current + NOBODYS)
        const isOver = form !== undefined || claimed === undefined
        return { form, isClaimed: !isOver && (await formOf(claimed ?? current + NOBODYS)) !== undefined }
      }
      const { form, isClaimed } = await traced('hash', {}, () => queue.take(compare, turn))
      const matched = form !== undefined
      let passes = false
      try {
        await settle(matched)
        passes = matched
      } finally {
        // A password of two forms is compared twice.
        if (!passes) await until(start + limits.failing * typedForms(password).length)
      }
      return {
        matches: matched,
        isClaimed,
        outdated:
          hash !== undefined && (!hash.startsWith(current) || (matched && form !== normalPassword(password))),
      }
    },
    load: queue.load,
    async close() {
      await queue.idle()
      await (await bcrypt)?.destroy()
    },
  }
}

/** Timers count from when the event loop last looked at the clock, so one alone can be early. */
async function until(end: number): Promise<void> {
  for (let left = end - performance.now(); left > 0; left = end - performance.now()) await pause(left)
}
