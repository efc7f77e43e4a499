import { setTimeout as pause } from 'node:timers/promises'
import { RowQuotaReached } from '../contract/errors.ts'
import { Recent, oneAtATime } from '../database/one-at-a-time.ts'

/** What a statement that adds a row is told: it adds none where `room` rows came after `counted_at`. */
export interface Room {
  readonly counted_at: string
  readonly room: number
}

/** How many rows an owner had, and when by the database's clock. */
export interface Counted {
  readonly count: number
  readonly at: string
}

/** A statement looks at so many of the owner's newest rows at most; whoever has no more is never counted. */
const LOOKED_AT = 100
/** Rows are added one at a time where fewer are left than could be on their way at once. */
const EDGE = 200
/** An owner who has reached the quota is counted no more often. */
const COUNT_EVERY_MS = 100

/**
 * Holds the rows of each owner in one table below `most`, whoever adds them: each addition is told how many rows there
 * were when they were last counted, and looks itself at those that came later. Where too many came, they are counted
 * again: once for a hundred additions. In one process it is exact; of each other process one row more may pass.
 *
 * @param countRows of an owner, no further than `most`
 */
export function rowQuota(most: number, countRows: (owner: string) => Promise<Counted>) {
  const counts = new Recent<Counted & { readonly ms: number }>()
  const inTurn = oneAtATime()

  const left = (owner: string) => most - (counts.get(owner)?.count ?? 0)

  function roomOf(owner: string): Room {
    return { counted_at: counts.get(owner)?.at ?? '-infinity', room: Math.min(LOOKED_AT, left(owner)) }
  }

  /** @throws RowQuotaReached where a count that was made since `begun` says so */
  async function countAnew(owner: string, begun: number) {
    const last = counts.get(owner)
    if (last && last.ms >= begun && left(owner) <= 0) throw new RowQuotaReached()
    if (last) await pause(Math.max(0, last.ms + COUNT_EVERY_MS - performance.now()))
    const ms = performance.now()
    counts.set(owner, { ...(await countRows(owner)), ms })
    if (left(owner) <= 0) throw new RowQuotaReached()
  }

  async function addInTurn<T>(owner: string, add: (room: Room) => Promise<T | undefined>, begun: number) {
    for (;;) {
      const added = left(owner) > 0 ? await add(roomOf(owner)) : undefined
      if (added !== undefined) return added
      await countAnew(owner, begun)
    }
  }

  /**
   * @param add gives undefined where there was no room
   * @throws RowQuotaReached
   */
  return async function adding<T>(owner: string, add: (room: Room) => Promise<T | undefined>): Promise<T> {
    const begun = performance.now()
    const added = left(owner) > EDGE ? await add(roomOf(owner)) : undefined
    return added ?? inTurn(owner, () => addInTurn(owner, add, begun))
  }
}
