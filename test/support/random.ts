/** Chance that can be repeated: the same seed gives the same. */
export function randomBy(seed: number) {
  let state = seed
  /** mulberry32: below 1. */
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (most: number) => Math.floor(next() * most)
  const one = <T>(of: readonly T[]): T => of[below(of.length)]!
  return {
    below,
    one,
    isTrue: (chance = 0.5) => next() < chance,
    /** Up to `most` of them, each once. */
    some: <T>(of: readonly T[], most: number): T[] => [
      ...new Set(Array.from({ length: 1 + below(most) }, () => one(of))),
    ],
  }
}

export type Random = ReturnType<typeof randomBy>
