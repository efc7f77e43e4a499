import { sql } from 'drizzle-orm'
import { type Answer, type Service } from './service.ts'

/** Limits as they are in production. */
export const limited = { RATE_LIMIT_ENABLED: 'true' }

let networks = 0

/** An address of a network that nobody was in yet (RFC 2544 and beyond; none is asked). */
export function freshNetwork(): string {
  networks += 1
  return `198.${18 + (networks >> 16)}.${(networks >> 8) & 255}.${networks & 255}`
}

/** Lets so many seconds pass for everything that was counted. */
export const letPass = ({ rows }: Pick<Service, 'rows'>, seconds: number) =>
  rows(sql`update rate_limits set
    forgotten_at = forgotten_at - make_interval(secs => ${seconds}::double precision),
    resumes_at = resumes_at - make_interval(secs => ${seconds}::double precision)`)

/** Counts so many more tries of a limit for everything that was counted. */
export const countMore = ({ rows }: Pick<Service, 'rows'>, tries: number, every: number) =>
  rows(sql`update rate_limits set
    forgotten_at = greatest(forgotten_at, now()) + make_interval(secs => ${tries * every}::double precision)`)

/** Seconds that an answer asks to wait. */
export const retryAfter = ({ headers }: Answer) => Number(headers['retry-after'])
