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
  /** A try that fails (400, 401, 409) always counts; one that succeeds only where this says so. */
  readonly counts: 'failures' | 'tries'
}

export const limits = {
  /** By account and network. A burst as large as that, as several devices of a household may sign in at once. */
  login: { burst: 10, every: 1800, pause: 30, counts: 'failures' },
  /** By account, over all networks that never signed in to it: many networks are no way around the one above. */
  login_by_strangers: { burst: 15, every: 240, pause: 240, counts: 'failures' },
  /** By network, over all accounts: credential stuffing (ASVS 6.3.1). An office behind one address stays below. */
  login_network: { burst: 100, every: 36, pause: 36, counts: 'failures' },
  /** By user: guesses at the current password by somebody who found a device unlocked (ASVS 6.2.3). */
  password_change: { burst: 5, every: 1800, pause: 30, counts: 'failures' },
  /** By address: mails that strangers can have sent to it (recovery, verification, signup, change of address), so that they flood nobody. */
  mail: { burst: 5, every: 3600, pause: 60, counts: 'tries' },
  /** By network, to any address (ASVS 2.4.1). */
  mail_network: { burst: 50, every: 60, pause: 60, counts: 'tries' },
  /** By network: accounts made by machines (ASVS 2.4.1). A class that signs up in one lesson stays below. */
  signup_network: { burst: 50, every: 60, pause: 60, counts: 'tries' },
} as const satisfies Record<string, Limit>

export type LimitName = keyof typeof limits

/**
 * By network, over everything, in each process: requests at once, and a second in the long run. Not about guesses, but so
 * that no single client takes the service from the others (ASVS 2.4.1).
 */
export const throttle = { burst: 1000, perSecond: 100 }

/** So many networks that last signed in to an account are known to it, for so many days. */
export const knownNetworks = { most: 3, days: 90 }
