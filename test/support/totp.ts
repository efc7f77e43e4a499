import { Secret, TOTP } from 'otpauth'

/** The code of an authenticator, so many steps of 30 seconds from now. */
export const totpOf = (secret: string, steps = 0) =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + steps * 30_000 })
