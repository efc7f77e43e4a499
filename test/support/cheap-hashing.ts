import type { Service } from './service.ts'

/**
 * Hashing that costs nothing, for tests that are not about it: with the real one, two requests at a time come out of
 * the queue, and what a race would break stays hidden. Hashes that were made before stay good.
 */
export function cheapHashing({ app }: Service): void {
  const { passwords } = app.auth
  const { verify } = passwords
  passwords.hash = passwords.renew = (password) => Promise.resolve(CURRENT + password)
  passwords.verify = async (hash, password, settle, turn, claimed) => {
    if (hash?.startsWith('$argon2')) return verify(hash, password, settle, turn, claimed)
    const matches = hash === CURRENT + password || hash === OUTDATED + password
    const isClaimed = !matches && claimed === CURRENT + password
    await settle?.(matches)
    return { matches, isClaimed, outdated: hash?.startsWith(OUTDATED) ?? false }
  }
}

const CURRENT = 'cheap:'
const OUTDATED = 'outdated:'

/** A hash that the next login would replace. */
export const outdatedHash = (password: string) => OUTDATED + password

/** A call that has done its work and waits. */
export interface Held {
  /** Resolves when it is there. */
  readonly reached: Promise<void>
  release(): void
}

/** Holds the next call of `name` back after its work is done: what happens meanwhile happens in between. */
export function holdNext({ app }: Service, name: 'hash' | 'renew' | 'verify'): Held {
  const { passwords } = app.auth
  const original = passwords[name] as (...values: unknown[]) => Promise<unknown>
  const [reached, released] = [signal(), signal()]
  const held = async (...values: unknown[]) => {
    passwords[name] = original as never
    const result = await original(...values)
    reached.give()
    await released.given
    return result
  }
  passwords[name] = held as never
  return { reached: reached.given, release: released.give }
}

function signal() {
  let give = () => undefined as void
  const given = new Promise<void>((resolve) => (give = resolve))
  return { given, give }
}
