import { type SQL, sql } from 'drizzle-orm'
import { type KeySettings, keyring } from '../../config/secrets/keys.ts'
import { type Limit, type LimitName, limits } from '../../config/limits.ts'
import { namesOf } from '../../config/secrets/signed-ids.ts'
import { TooManyRequests } from '../../contract/errors.ts'
import type { Database } from '../../database/connect.ts'
import { statement } from '../../database/statement.ts'
import { rateLimits } from '../../database/tables.ts'

/**
 * Rate limits that all replicas share: a row for each counter, and one statement for each try, so that a hundred tries at
 * once can't pass where one may.
 *
 * The algorithm is GCRA, with waits that grow. `forgotten_at` is the time at which the counter is back at zero: each try
 * moves it by `every` seconds, so that the tries counted are what lies between now and then, divided by `every`.
 * `resumes_at` is the time of the next try: now while fewer than `burst` are counted, then in `pause` seconds, and in
 * twice as many after each further try.
 *
 * A counter is named by SECRET_KEY. While SECRET_KEY_PREVIOUS is set, it begins at what its row of that name has, whichever of
 * the two is higher, so that a change of keys forgets no try, also while some replicas name by the one and some by the other.
 */
export interface Limiter {
  /**
   * @param by whom or what it counts: an account, a network
   * @param room factor on the limit
   */
  counter(name: LimitName, by: readonly string[], room?: number): Counter
  /** Counts nothing. @throws TooManyRequests where any of them has to wait, for the longest wait */
  check(counters: readonly Counter[]): Promise<void>
  /** Counts a try. @throws TooManyRequests where it has to wait; it is not counted then */
  count(counter: Counter): Promise<void>
  /** Takes back a try that was counted. */
  giveBack(counter: Counter): Promise<void>
  /** Sets a counter to zero. */
  forget(counter: Pick<Counter, 'key' | 'before'>): Promise<void>
}

export interface Counter extends Pick<Limit, 'burst' | 'every' | 'pause'> {
  readonly name: LimitName
  /** A MAC, so that rows don't tell whom they count. */
  readonly key: string
  /** What it was under SECRET_KEY_PREVIOUS; empty where that is unset. */
  readonly before: string
}

export function limiter(db: Database, config: KeySettings): Limiter {
  const names = namesOf(keyring(config), 'rate-limit')

  async function check(counters: readonly Counter[]) {
    const keys = counters.flatMap(({ key, before }) => (before === '' ? [key] : [key, before]))
    const [longest] = await db.run(wait, { keys: keys.join(' ') })
    const counter = counters.find(({ key, before }) => longest && [key, before].includes(longest.key))
    if (longest && counter) throw new TooManyRequests(counter.name, longest.seconds)
  }

  return {
    counter(name, by, room = 1) {
      const { burst, every, pause } = limits[name]
      const { name: key, before } = names(JSON.stringify([name, ...by]))
      return { name, key, before, burst: burst * room, every: every / room, pause: pause / room }
    },
    check,
    async count(counter) {
      const taken = await db.run(take, counter)
      if (taken.length > 0) return
      await check([counter])
      throw new TooManyRequests(counter.name)
    },
    giveBack: async (counter) => void (await db.run(giveBack, counter)),
    forget: async ({ key, before }) => void (await db.run(forget, { key, before })),
  }
}

// clock_timestamp() instead of now(): a statement that waited for the row's lock has to see a later time than the one
// before it.

type Values<Name extends keyof Counter> = Readonly<Record<Name, SQL>>

const seconds = (number: SQL) => sql`make_interval(secs => ${number}::float8)`

/** The tries that are counted when the counter is back at zero at `forgottenAt`. */
const triesUntil = (forgottenAt: SQL, { every }: Values<'every'>) =>
  sql`ceil(extract(epoch from ${forgottenAt} - clock_timestamp()) / ${every}::float8)::integer`

/** The time of the next try after so many. */
const resumesAfter = (tries: SQL, { burst, pause }: Values<'burst' | 'pause'>) =>
  sql`clock_timestamp() + case
        when ${tries} < ${burst}::integer then interval '0'
        else ${seconds(pause)} * power(2, ${tries} - ${burst}::integer)
      end`

/** Counts a try; no row where it has to wait. Most that have to are refused by the subquery, without waiting for the lock. */
const take = statement<Pick<Counter, 'key' | 'before' | 'burst' | 'every' | 'pause'>, { key: string }>(
  'count try',
  (v) => {
    // greatest() passes over null: there may be no row of the name before.
    const before = sql`(select before.forgotten_at from ${rateLimits} as before where before.key = ${v.before})`
    const first = sql`(greatest(${before}, clock_timestamp()) + ${seconds(v.every)})`
    const forgottenAt = sql`(greatest(${rateLimits.forgotten_at}, ${before}, clock_timestamp()) + ${seconds(v.every)})`
    return sql`
    insert into ${rateLimits} (key, forgotten_at, resumes_at)
    select ${v.key}::text, ${first}, ${resumesAfter(triesUntil(first, v), v)}
    where not exists (
      select from ${rateLimits} where key in (${v.key}, ${v.before}) and resumes_at > clock_timestamp()
    )
    on conflict (key) do update set
      forgotten_at = ${forgottenAt},
      resumes_at = ${resumesAfter(triesUntil(forgottenAt, v), v)}
    where ${rateLimits.resumes_at} <= clock_timestamp()
    returning key`
  },
  { isFirst: true }, // of the requests of public routes
)

/** Of these counters the one that has to wait longest, and how long; no row where none has to. */
const wait = statement<{ keys: string }, { key: string; seconds: number }>(
  'read longest wait',
  (v) => sql`
    select key, greatest(1, ceil(extract(epoch from resumes_at - clock_timestamp())))::integer as seconds
    from ${rateLimits}
    where key = any(string_to_array(${v.keys}, ' ')) and resumes_at > clock_timestamp()
    order by resumes_at desc
    limit 1`,
  { isFirst: true },
)

/** A wait ends only where that leaves fewer tries than the burst: failures counted meanwhile keep theirs. */
const giveBack = statement<Pick<Counter, 'key' | 'burst' | 'every'>>('give try back', (v) => {
  const forgottenAt = sql`(forgotten_at - ${seconds(v.every)})`
  return sql`
    update ${rateLimits} set
      forgotten_at = ${forgottenAt},
      resumes_at = case
        when ${triesUntil(forgottenAt, v)} < ${v.burst}::integer then clock_timestamp()
        else resumes_at
      end
    where key = ${v.key}`
})

const forget = statement<{ key: string; before: string }>(
  'forget tries',
  (v) => sql`
    delete from ${rateLimits} where key in (${v.key}, ${v.before})`,
)
