/**
 * All rate limits. `burst` tries are free; the next waits `pause` seconds, and each further one twice as long. One try is
 * forgotten every `every` seconds, which is the long-term rate. With `pause` = `every` it is a plain rate limit.
 *
 * Password guesses against one account: OWASP ASVS 5.0, 6.3.1 asks for limits against credential stuffing and brute force,
 * ASVS 4.0, 2.2.1 for at most 100 failures an hour, NIST SP 800-63B-4, 3.2.2 for growing waits and for telling networks
 * that the owner used before from others. The worst hour of an account: 30 failures from strangers, 16 from each of three
 * known networks, and 11 from a session: 89.
 */
export interface Limit {
  /** Free tries. */
  readonly burst: number
  /** Seconds until one is forgotten. */
  readonly every: number
  /** Seconds of wait after the burst. */
  readonly pause: number
  /**
   * What counts. Failures are what `settle` says was wrong, or answers of 400, 401 and 409; 403, 422 and 5xx never count.
   */
  readonly counts: 'failures' | 'tries' | 'successes'
}

export const limits = {
  /** By account and network. The burst allows several devices of a household to sign in at once. */
  login: { burst: 10, every: 1800, pause: 30, counts: 'failures' },
  /** By account, over all networks that it does not know: a botnet does not get around the limit above. */
  login_by_strangers: { burst: 15, every: 240, pause: 240, counts: 'failures' },
  /** By network, over all accounts: credential stuffing (ASVS 6.3.1). An office behind one address stays below. */
  login_network: { burst: 100, every: 36, pause: 36, counts: 'failures' },
  /** By account, from anywhere: each takes CPU for a hash. Enough for a script that signs in before every call. */
  sign_ins: { burst: 150, every: 12, pause: 12, counts: 'successes' },
  /** By user: guesses at the current password from an unlocked device (ASVS 6.2.3). */
  password_change: { burst: 5, every: 1800, pause: 30, counts: 'failures' },
  /** By user, over all codes of second factors: three in a million are right at a time. */
  codes: { burst: 5, every: 1800, pause: 30, counts: 'failures' },
  /** By network: challenges to sign in with a passkey, each a row for five minutes. Pages may ask for one whenever they open. */
  passkey_network: { burst: 360, every: 24, pause: 24, counts: 'tries' },
  /** By user: changes of the password, each of which takes two hashes. */
  password_changes: { burst: 30, every: 120, pause: 120, counts: 'successes' },
  /** By network, to any address (ASVS 2.4.1). */
  mail_network: { burst: 50, every: 60, pause: 60, counts: 'tries' },
  /** By network: automated sign-ups (ASVS 2.4.1). Enough for a class that signs up in one lesson. */
  signup_network: { burst: 50, every: 60, pause: 60, counts: 'tries' },
  /** By network: sign-ins with an identity provider that are begun, each a row for ten minutes. */
  provider_network: { burst: 100, every: 6, pause: 6, counts: 'tries' },
  /** By user: files with all of their data, which read all of their rows. */
  exports: { burst: 5, every: 3600, pause: 3600, counts: 'tries' },
  /** By user: creations with an Idempotency-Key, each stored for a day. The same number as MAX_ROWS_PER_USER's default. */
  idempotency_keys: { burst: 100_000, every: 0.864, pause: 0.864, counts: 'tries' },
} as const satisfies Record<string, Limit>

export type LimitName = keyof typeof limits

/** Default limit of a body, in bytes: ten times the largest useful one. */
export const BODY_LIMIT = 32 * 1024

/**
 * All requests of one network, per process: a burst, and a rate per second. So that no single client overloads the service
 * for others (ASVS 2.4.1).
 */
export const throttle = { burst: 1000, perSecond: 100 }

/**
 * Refusals of the throttle are delayed, so that a client that retries at once does not keep the process busy: by `ms` on
 * average, at most `most` requests at a time.
 */
export const refusalDelay = { ms: 1_000, most: 1_000 }

/**
 * Mails to one mailbox that others can cause, by kind (mail/queue.ts). In seconds. A link lives for an hour or more: whatever
 * strangers ask for, the owner has a link that works, or can ask for one.
 */
export const mailBounds = {
  /** Links that anybody may request: three, ten minutes apart, then one an hour. */
  link: { burst: 3, every: 3600, apart: 600 },
  /** Security notices: one per ten minutes to a verified address, one per ten days to an unverified one. */
  notice: { apart: 600, unverified: 10 * 24 * 3600 },
} as const

/** Share of the hashing queue that a network, its /48, and an account may hold at a time. */
export const hashingShares = { network: 1 / 8, site: 1 / 4, account: 1 / 8 }

/**
 * What comparing a password with a stored hash may take, by its parameters: hashes of other systems that take more are not
 * imported, and match no password. Of memory, as many may be compared at once as there are threads; of a core, three
 * forms of a password are compared within the time of an answer. Above the defaults of Django 6 (0.5 s), passlib (1.3 s)
 * and bcrypt at cost 14 (1.3 s).
 */
export const hashCost = { mebibytes: 256, milliseconds: 1_500 }

/** Limits of an IPv6 /48 are those of a /64 times this. */
export const SITE_ROOM = 10

/** An account knows this many of the networks that last signed in, for this many days. */
export const knownNetworks = { most: 3, days: 90 }

/** Days after which rows are deleted (database/upkeep/expired.ts); sessions and tokens are deleted when they end. */
export const retention = {
  sentMailDays: 30,
  /** Mails that were given up or never sent. */
  mailDays: 90,
  idempotencyKeyDays: 1,
  /** IP address of the sign-up. */
  registeredFromDays: 90,
}

/** Sessions of one user; a trigger (migrations) ends the oldest beyond this. */
export const MOST_SESSIONS = 100
