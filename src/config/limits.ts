/**
 * How much of what is let through, in one place. After `burst` tries the next one waits `pause` seconds, and each
 * further one twice as long; one try is forgotten every `every` seconds, so that in the long run no more than that
 * pass. Where `pause` is `every`, it is a plain rate.
 *
 * Guesses at one account: OWASP ASVS 5.0, 6.3.1 asks for limits that stop credential stuffing and brute force, ASVS 4.0,
 * 2.2.1 for no more than 100 failures an hour on one account, and NIST SP 800-63B-4, 3.2.2 for waits that grow and for
 * networks that the owner used before to be told from others. In its worst hour an account sees 30 failures from
 * strangers, 16 from each of three known networks, and 11 from somebody who has a session: 89.
 */
export interface Limit {
  /** Tries at once. */
  readonly burst: number
  /** Seconds until one is forgotten. */
  readonly every: number
  /** Seconds that the first try beyond the burst waits. */
  readonly pause: number
  /** Which tries count. One that fails is 400, 401 or 409; what was not even tried (403, 422, 5xx) never counts. */
  readonly counts: 'failures' | 'tries' | 'successes'
}

export const limits = {
  /** By account and network. A burst as large as that, as several devices of a household may sign in at once. */
  login: { burst: 10, every: 1800, pause: 30, counts: 'failures' },
  /** By account, over all networks that never signed in to it: many networks are no way around the one above. */
  login_by_strangers: { burst: 15, every: 240, pause: 240, counts: 'failures' },
  /** By network, over all accounts: credential stuffing (ASVS 6.3.1). An office behind one address stays below. */
  login_network: { burst: 100, every: 36, pause: 36, counts: 'failures' },
  /** By account, wherever they come from: each keeps the processors busy. A script that signs in for every call stays below. */
  sign_ins: { burst: 300, every: 12, pause: 12, counts: 'successes' },
  /** By user: guesses at the current password by somebody who found a device unlocked (ASVS 6.2.3). */
  password_change: { burst: 5, every: 1800, pause: 30, counts: 'failures' },
  /** By user: passwords that were changed, as each takes two hashes. */
  password_changes: { burst: 30, every: 120, pause: 120, counts: 'successes' },
  /** By network, to any address (ASVS 2.4.1). */
  mail_network: { burst: 50, every: 60, pause: 60, counts: 'tries' },
  /** By network: accounts made by machines (ASVS 2.4.1). A class that signs up in one lesson stays below. */
  signup_network: { burst: 50, every: 60, pause: 60, counts: 'tries' },
  /** By user: creations with an Idempotency-Key, which is kept for a day. As many as a user may have rows, if not told otherwise. */
  idempotency_keys: { burst: 100_000, every: 0.864, pause: 0.864, counts: 'tries' },
} as const satisfies Record<string, Limit>

export type LimitName = keyof typeof limits

/**
 * By network, over everything, in each process: requests at once, and a second in the long run. Not about guesses, but so
 * that no single client takes the service from the others (ASVS 2.4.1).
 */
export const throttle = { burst: 1000, perSecond: 100 }

/**
 * What is beyond the throttle waits for its 429, so that a client that asks again at once does not keep the process busy
 * with refusals: so many milliseconds on average, and so many requests at most.
 */
export const refusalDelay = { ms: 1_000, most: 1_000 }

/**
 * Mails that others can have sent to a mailbox, each kind by itself. Seconds. A link lives for an hour or more, so that
 * whatever strangers ask for, its owner has one that works or can ask for one (mail/queue.ts).
 */
export const mailBounds = {
  /** Mails with a link that anybody may ask for: three, ten minutes apart, then one an hour. */
  link: { burst: 3, every: 3600, apart: 600 },
  /** What is told about an account: every ten minutes to a verified address, and once in ten days to one that is not. */
  notice: { apart: 600, unverified: 10 * 24 * 3600 },
} as const

/** Who may hold which part of the queue for hashing, at the same time. */
export const hashingShares = { network: 1 / 8, site: 1 / 4, account: 1 / 8 }

/** A whole site of IPv6 networks (a /48) has so many times the room of one of them. */
export const SITE_ROOM = 10

/** So many networks that last signed in to an account are known to it, for so many days. */
export const knownNetworks = { most: 3, days: 90 }

/** How long rows stay that nobody needs any more (database/upkeep/expired.ts); sessions and links go when they end. */
export const retention = {
  sentMailDays: 30,
  /** Parked ones, and what was never sent. */
  mailDays: 90,
  idempotencyKeyDays: 1,
  /** The address that an account was made from. */
  registeredFromDays: 90,
}

/** Live sessions of one user; the trigger that opens one more ends the oldest (migrations). */
export const MOST_SESSIONS = 100
