import { sql } from 'drizzle-orm'
import type { Config } from '../../config/config.ts'
import type { Database } from '../../database/connect.ts'
import { value, whenNeeded } from '../../database/statements.ts'
import { rateLimits as table } from '../../database/tables.ts'
import { TooManyRequests } from '../../contract/errors.ts'
import { type Limit, type LimitName, limits } from '../../config/limits.ts'
import { macOf } from '../../config/signed-ids.ts'

/**
 * Limits that hold over all replicas: a row for each limit and whom it counts, one statement a try, so that a hundred
 * at once do not pass where one may.
 */
export interface Limiter {
  /** @param room how many times as much as the limit says passes */
  counter(name: LimitName, by: readonly string[], room?: number): Counter
  /** Asks for all of them at once. @throws TooManyRequests, which says when to try again, where a try would have to wait */
  check(counters: readonly Counter[]): Promise<void>
  /** Counts a try. @throws TooManyRequests where it has to wait; then nothing is counted */
  count(counter: Counter): Promise<void>
  /** For a try that was counted and does not count in the end. */
  giveBack(counter: Counter): Promise<void>
  /** Forgets every try. */
  forget(counter: Pick<Counter, 'key'>): Promise<void>
}

/** A limit, and whom it counts. */
export interface Counter extends Pick<Limit, 'burst' | 'every' | 'pause'> {
  readonly name: LimitName
  readonly key: string
}

export function limiter(db: Database, config: Pick<Config, 'SECRET_KEY'>): Limiter {
  const mac = macOf(config.SECRET_KEY, 'rate-limit')
  const run = whenNeeded(() => prepare(db))
  async function check(counters: readonly Counter[]) {
    const [held] = await run().wait.execute({ keys: counters.map(({ key }) => key).join(' ') })
    const counter = counters.find(({ key }) => key === held?.key)
    if (held && counter) throw new TooManyRequests(counter.name, held.seconds)
  }
  return {
    counter(name, by, room = 1) {
      const { burst, every, pause } = limits[name]
      const key = mac(JSON.stringify([name, ...by]))
      return { name, key, burst: burst * room, every: every / room, pause: pause / room }
    },
    check,
    async count(counter) {
      const taken = await run().take.execute({ ...counter })
      if (taken.length > 0) return
      await check([counter])
      throw new TooManyRequests(counter.name)
    },
    async giveBack(counter) {
      await run().giveBack.execute({ ...counter })
    },
    async forget({ key }) {
      await run().forget.execute({ key })
    },
  }
}

/** Where each statement that waited for the row sees a later time than the one before it, unlike now(). */
const time = sql`clock_timestamp()`
const seconds = (number: unknown) => sql`make_interval(secs => ${number}::double precision)`
const every = seconds(value('every'))
const burst = sql`${value('burst')}::integer`

/** Tries that are not forgotten while all of them are by `forgottenAt`. */
const tries = (forgottenAt: unknown) =>
  sql`ceil(extract(epoch from ${forgottenAt} - ${time}) / ${value('every')}::double precision)::integer`

/** When the next try passes after so many. */
const resumes = (count: unknown) => sql`${time} + case when ${count} < ${burst} then interval '0'
  else ${seconds(value('pause'))} * power(2, ${count} - ${burst}) end`

function prepare(db: Database) {
  const added = sql`greatest(${table.forgotten_at}, ${time}) + ${every}`
  const left = sql`${table.forgotten_at} - ${every}`
  const ofKey = sql`${table.key} = ${value('key')}`
  return {
    /** A row, or none where the try must wait. */
    take: db
      .insert(table)
      .select(
        // What must wait is mostly told without the row's lock, which others may be queueing for.
        sql`select ${value('key')}::text, ${time} + ${every}, ${resumes(sql`1`)}
          where not exists (select from ${table} where ${ofKey} and ${table.resumes_at} > ${time})`,
      )
      .onConflictDoUpdate({
        target: table.key,
        set: { forgotten_at: added, resumes_at: resumes(tries(sql`(${added})`)) },
        setWhere: sql`${table.resumes_at} <= ${time}`,
      })
      .returning({ key: table.key })
      .prepare('limit_take'),
    /** Of these keys the one that must wait longest; no row where none has to. */
    wait: db
      .select({
        key: table.key,
        seconds: sql<number>`greatest(1, ceil(extract(epoch from ${table.resumes_at} - ${time})))::integer`,
      })
      .from(table)
      .where(
        sql`${table.key} = any(string_to_array(${value('keys')}, ' ')) and ${table.resumes_at} > ${time}`,
      )
      .orderBy(sql`${table.resumes_at} desc`)
      .limit(1)
      .prepare('limit_wait'),
    giveBack: db
      .update(table)
      .set({
        forgotten_at: left,
        // Only a burst that has room again: failures that were counted meanwhile keep their wait.
        resumes_at: sql`case when ${tries(sql`(${left})`)} < ${burst} then ${time} else ${table.resumes_at} end`,
      })
      .where(ofKey)
      .prepare('limit_give_back'),
    forget: db.delete(table).where(ofKey).prepare('limit_forget'),
  }
}
