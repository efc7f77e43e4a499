import { sql } from 'drizzle-orm'
import type { Config } from '../config.ts'
import type { Database } from '../db/connect.ts'
import { value, whenNeeded } from '../db/statements.ts'
import { rateLimits as table } from '../db/tables.ts'
import { TooManyRequests } from '../errors.ts'
import { type LimitName, limits } from '../limits.ts'
import { macOf } from './signed-ids.ts'

/**
 * Limits that hold over all replicas: a row for each limit and whom it counts, one statement a try, so that a hundred
 * at once do not pass where one may.
 */
export interface Limiter {
  counter(name: LimitName, by: readonly string[]): Counter
  /** @throws TooManyRequests, which says when to try again, where a try would have to wait */
  check(counter: Counter): Promise<void>
  /** Counts a try. @throws TooManyRequests where it has to wait; then nothing is counted */
  count(counter: Counter): Promise<void>
  /** For a try that was counted and does not count in the end. */
  giveBack(counter: Counter): Promise<void>
}

/** A limit, and whom it counts. */
export interface Counter {
  readonly name: LimitName
  readonly key: string
}

export function limiter(db: Database, config: Pick<Config, 'SECRET_KEY'>): Limiter {
  const mac = macOf(config.SECRET_KEY, 'rate-limit')
  const run = whenNeeded(() => prepare(db))
  return {
    counter: (name, by) => ({ name, key: mac(JSON.stringify([name, ...by])) }),
    async check({ name, key }) {
      const [held] = await run().wait.execute({ key })
      if (held) throw new TooManyRequests(name, held.seconds)
    },
    async count({ name, key }) {
      const taken = await run().take.execute({ key, ...limits[name] })
      if (taken.length > 0) return
      const [held] = await run().wait.execute({ key })
      throw new TooManyRequests(name, held?.seconds)
    },
    async giveBack({ name, key }) {
      await run().giveBack.execute({ key, ...limits[name] })
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
    /** A row where the next try must wait. */
    wait: db
      .select({
        seconds: sql<number>`greatest(1, ceil(extract(epoch from ${table.resumes_at} - ${time})))::integer`,
      })
      .from(table)
      .where(sql`${ofKey} and ${table.resumes_at} > ${time}`)
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
  }
}
