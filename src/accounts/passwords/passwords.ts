import { availableParallelism } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
// oxlint-disable-next-line import/no-unassigned-import -- used in threads; where it can't be loaded nothing should start
import '@node-rs/argon2'
import { hashCost } from '../../config/limits.ts'
import { traced } from '../../config/spans.ts'
import { normalPassword, typedForms } from '../../text/normal-password.ts'
import { kindOf } from './kinds/kinds.mjs'
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

/** Salt and hash of an unknown password: comparing with it takes as long as with a user's hash. */
const NOBODYS = '8eJPheyHmBlhgKGyNGhXxw$JWxDto8vbia2vsomlj7wtaEidaJL2O5lqXZAyHlNFHc'

/** Result of a comparison. `outdated`: the stored hash should be replaced by one with the current parameters. */
export interface Verification {
  readonly matches: boolean
  /** Whether it matches the claimed hash (see `verify`). */
  readonly isClaimed: boolean
  readonly outdated: boolean
}

export interface Passwords {
  /**
   * Checks for room in the queue, before any other work for a hash.
   *
   * @throws ServiceUnavailable if the queue is full, TooManyRequests if the client's share of it is
   */
  admit(turn?: Turn): void
  /** @throws as `admit`; ServiceUnavailable after a too long wait; the reason of the turn's signal if the client left */
  hash(password: string, turn?: Turn): Promise<string>
  /** Hashes ahead of the queue, for a user whose password was just verified. */
  renew(password: string, turn?: Turn): Promise<string>
  /**
   * Compares a password with a stored hash of any kind (kinds/). Without a hash, or with one of an unknown kind, it takes the
   * same time and never matches, so that the time of an answer does not reveal whether an address is known.
   *
   * @param settle called first with the result. What it throws is thrown, after the time of a failed comparison
   * @param claimed a second hash, compared if the first does not match; null takes the same time. A match with it takes the
   *   time of a failed comparison
   * @throws as `hash`
   */
  verify(
    hash: string | undefined,
    password: string,
    settle?: (matches: boolean) => Promise<void>,
    turn?: Turn,
    claimed?: string | null,
  ): Promise<Verification>
  /** Makes failed comparisons take at least as long as those with this hash. */
  allowFor(hash: string): void
  /** Hashes being computed, and hashes in the queue. */
  load(): Pick<HashingLimits, 'running' | 'waiting'>
  close(): Promise<void>
}

export interface HashingLimits {
  /** Parameters of new hashes; lower in tests. */
  readonly cost: HashingCost
  /**
   * Hashes at a time: half the number of cores, as the lanes of one use two (twice as many were 8 % slower on two cores), and
   * four at most, as each takes 64 MiB.
   */
  readonly running: number
  /** Length of the queue; at about 30 hashes a second on two cores, the last one waits 2 s. */
  readonly waiting: number
  /**
   * Longest wait in the queue, in milliseconds: half of what an answer may take (http/deadline.ts), so that a hash that is
   * started is still in time.
   */
  readonly patience: number
  /**
   * Least duration of a failed comparison, in milliseconds. Hashes of other systems take more or less time; most take less
   * than this (bcrypt at cost 12: 330 ms), so that the duration does not reveal which hash an account has. Where some take
   * more, all failed comparisons do (`allowFor`).
   */
  readonly failing: number
}

const cores = availableParallelism()
const defaults: HashingLimits = {
  cost: COST,
  running: Math.min(4, Math.ceil(cores / 2)),
  waiting: 32 * cores,
  patience: 5_000,
  failing: 400,
}

/** What a comparison may take beyond the estimate of its kind. */
const SLOWER = 1.5

/** Runs a job of hashing-worker.mjs. */
type InThread = <Result>(name: 'hash' | 'verify', job: object) => Promise<Result>

let threads: Promise<InThread> | undefined

/**
 * Threads for hashing, which end after a minute without work. Their priority is lower than that of the event loop: on two
 * cores, while somebody signed in again and again, others' slowest percent of lists took 125 ms without that.
 */
async function startThreads(): Promise<InThread> {
  const { Piscina: Threads } = await import('piscina')
  const pool = new Threads({
    filename: new URL('./hashing-worker.mjs', import.meta.url).href,
    minThreads: 0,
    maxThreads: defaults.running,
    idleTimeout: 60_000,
    niceIncrement: process.platform === 'linux' ? 10 : 0, // elsewhere it is of the whole process, or no such number
    // Or each loads what the process preloads.
    execArgv: [],
    env: {},
  })
  // A thread could not be started: its jobs fail with the reason, and the next one starts another.
  let reason: Error | undefined
  pool.on('error', (error: Error) => {
    reason = error
    threads = undefined
    void pool.destroy()
  })
  return (name, job) =>
    pool.run(job, { name }).catch((error: unknown) => {
      throw reason ?? error
    })
}

const inThread: InThread = async (name, job) => (await (threads ??= startThreads()))(name, job)

/** Password hashing off the event loop, in one bounded queue. */
export function passwords(given: Partial<HashingLimits> = {}): Passwords {
  const limits = { ...defaults, ...given }
  const { memoryCost, timeCost, parallelism } = limits.cost
  const current = `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$`
  const queue = turns(limits)

  const newHash = (password: string) => () =>
    inThread<string>('hash', { password: normalPassword(password), cost: limits.cost })

  let failing = limits.failing
  function allowFor(hash: string) {
    if (isAffordable(hash)) failing = Math.max(failing, SLOWER * kindOf(hash)!.costOf(hash)!.milliseconds)
  }

  async function matches(hash: string, password: string): Promise<boolean> {
    // Else another scheme, or an account that was closed by writing something else.
    return isAffordable(hash) && inThread<boolean>('verify', { password, hash })
  }

  return {
    admit: (turn = ANYBODY) => queue.admit(turn),
    hash: (password, turn = ANYBODY) => traced('hash', {}, () => queue.take(newHash(password), turn)),
    renew: (password, turn = ANYBODY) => traced('hash', {}, () => queue.again(newHash(password), turn)),
    async verify(hash, password, settle = () => Promise.resolve(), turn = ANYBODY, claimed?: string | null) {
      // Measured from its turn: the time in the queue does not count.
      let start = 0
      /** The form of the password that matches. A text in normal form has one form, and is compared once. */
      const formOf = async (hash: string) => {
        for (const form of typedForms(password)) if (await matches(hash, form)) return form
        return undefined
      }
      for (const one of [hash, claimed]) if (one) allowFor(one)
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
        // A password with several forms is compared several times.
        if (!passes) await until(start + failing * typedForms(password).length)
      }
      return {
        matches: matched,
        isClaimed,
        outdated:
          hash !== undefined && (!hash.startsWith(current) || (matched && form !== normalPassword(password))),
      }
    },
    allowFor,
    load: queue.load,
    close: queue.idle,
  }
}

/** Whether a hash is well-formed, of a known kind, and compared within what one may take. */
export function isAffordable(hash: string): boolean {
  const cost = kindOf(hash)?.costOf(hash)
  return (
    cost !== undefined && cost.mebibytes <= hashCost.mebibytes && cost.milliseconds <= hashCost.milliseconds
  )
}

/** Timers count from when the event loop last looked at the clock, so one alone can be early. */
async function until(end: number): Promise<void> {
  for (let left = end - performance.now(); left > 0; left = end - performance.now()) await pause(left)
}
