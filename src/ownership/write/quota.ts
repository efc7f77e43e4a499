import { setTimeout as pause } from 'node:timers/promises'
import { RowQuotaReached } from '../../contract/errors.ts'
import { Recent, oneAtATime } from '../../database/one-at-a-time.ts'

/** Limit for the statement that adds a row: it adds none where `room` rows were created at or after `counted_at`. */
export interface Room {
  readonly counted_at: string
  /** Null where nothing is to be counted. */
  readonly room: number | null
}

/** Number of an owner's rows, and when they were counted, by the database's clock. */
export interface Counted {
  readonly count: number
  readonly at: string
}

export type RowQuota = ReturnType<typeof rowQuota>

/** A statement counts at most so many of the owner's newest rows; an owner with fewer is never counted in full. */
const LOOKED_AT = 100
/** Where fewer are left than requests could be running at once, rows are added one at a time. */
const EDGE = 200
/**
 * Once a row was counted while more than `far` are left, `rows` further ones are added without being counted within `ms`:
 * counting took a quarter of an addition. Ten processes together add fewer than are left.
 */
const UNCOUNTED = { far: 10_000, rows: 900, ms: 10_000 }
/** How often an owner at the limit is counted at most. */
const COUNT_EVERY_MS = 100

/**
 * Limits the rows of each owner in one table to `most`, whoever adds them. The statement that adds a row counts only the
 * rows created since the last full count; where those are too many, all are counted again. Far from the limit it counts
 * now and then.
 *
 * In one process the limit holds for rows that are added one by one and in batches, but for what runs at the same moment. After a
 * transaction that fills it, and for each process beyond ten, UNCOUNTED.rows more may pass.
 *
 * @param countRows of an owner, no further than `most`
 * @returns `add`, and `addMany` for what adds many rows at once and counts all of the owner's. Both are given undefined
 *   where there was no room, and throw RowQuotaReached
 */
export function rowQuota(most: number, countRows: (owner: string) => Promise<Counted>) {
  const counts = new Recent<Counted & { readonly ms: number }>()
  const uncounted = new Recent<{ rows: number; readonly until: number }>()
  /** Owners of whom many rows are being added, and how often that has ended. */
  const addingMany = new Set<string>()
  let timesAdded = 0
  const inTurn = oneAtATime()

  const left = (owner: string) => most - (counts.get(owner)?.count ?? 0)

  function hasUncounted(owner: string): boolean {
    const further = uncounted.get(owner)
    return further !== undefined && further.rows > 0 && further.until > performance.now()
  }

  async function addNext<T>(owner: string, add: Adds<T>) {
    const times = timesAdded
    const isFar = left(owner) > UNCOUNTED.far && !addingMany.has(owner)
    const isCounted = !isFar || !hasUncounted(owner)
    if (!isCounted) uncounted.get(owner)!.rows -= 1
    const room = isCounted ? Math.min(LOOKED_AT, left(owner)) : null
    const added = await add.with({ counted_at: counts.get(owner)?.at ?? '-infinity', room })
    // Not where rows were added meanwhile that it did not see.
    const isStillFar = isFar && !addingMany.has(owner) && times === timesAdded
    if (added !== undefined && isCounted && isStillFar && !add.mayBeKnown && !hasUncounted(owner))
      uncounted.set(owner, { rows: UNCOUNTED.rows, until: performance.now() + UNCOUNTED.ms })
    return added
  }

  /** @throws RowQuotaReached where a count from after `begun` says so */
  async function countAnew(owner: string, begun: number) {
    const last = counts.get(owner)
    if (last && last.ms >= begun && left(owner) <= 0) throw new RowQuotaReached()
    if (last) await pause(Math.max(0, last.ms + COUNT_EVERY_MS - performance.now()))
    const ms = performance.now()
    counts.set(owner, { ...(await countRows(owner)), ms })
    if (left(owner) <= 0) throw new RowQuotaReached()
  }

  async function addInTurn<T>(owner: string, add: Adds<T>, begun: number) {
    for (;;) {
      const added = left(owner) > 0 ? await addNext(owner, add) : undefined
      if (added !== undefined) return added
      await countAnew(owner, begun)
    }
  }

  async function addAll<T>(owner: string, add: (room: Room) => Promise<T | undefined>) {
    addingMany.add(owner)
    try {
      return await addCounting(most, add)
    } finally {
      uncounted.delete(owner)
      addingMany.delete(owner)
      timesAdded += 1
    }
  }

  return {
    async add<T>(owner: string, add: Adds<T>): Promise<T> {
      const begun = performance.now()
      const added = left(owner) > EDGE ? await addNext(owner, add) : undefined
      return added ?? inTurn(owner, () => addInTurn(owner, add, begun))
    },
    addMany: <T>(owner: string, add: (room: Room) => Promise<T | undefined>): Promise<T> =>
      inTurn(owner, () => addAll(owner, add)),
  }
}

/** A statement that adds a row. */
interface Adds<T> {
  with(room: Room): Promise<T | undefined>
  /** Whether it may give a row of before instead, and has counted nothing then. */
  readonly mayBeKnown: boolean
}

/** Adds where there is room when all rows of the owner are counted, as a transaction does, which may add many. */
export async function addCounting<T>(most: number, add: (room: Room) => Promise<T | undefined>): Promise<T> {
  const added = await add({ counted_at: '-infinity', room: most })
  if (added === undefined) throw new RowQuotaReached()
  return added
}
