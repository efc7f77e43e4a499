import { createHash, randomBytes } from 'node:crypto'
import type { Config } from '../../config/config.ts'
import { type KeySettings, keyring } from '../../config/secrets/keys.ts'
import { secrets } from '../../config/secrets/secrets.ts'

/**
 * What a second factor is shown with: a code of an authenticator (TOTP, RFC 6238: SHA-1, 6 digits, 30 s), or one of ten
 * recovery codes. This finds out which code it may be; the statement that uses it up decides.
 */
export interface Codes {
  /** A new secret in base32, what is stored of it, and its otpauth URI, which an authenticator reads. */
  newSecret(id: string, account: string): Promise<NewSecret>
  /** The time step of the authenticator's code; undefined where it is none of now, of the step before or of the one after. */
  stepOf(factor: SealedFactor, code: string): Promise<number | undefined>
}

export interface NewSecret {
  readonly secret: string
  readonly sealed: string
  readonly uri: string
}

/** A factor as it is stored. */
export interface SealedFactor {
  readonly id: string
  readonly secret: string
}

/** How secrets of authenticators are stored. */
export const factorSecrets = (config: KeySettings) => secrets(keyring(config), 'factor')

const PERIOD_SECONDS = 30
const SECRET_BYTES = 20

export function codes(config: KeySettings & Pick<Config, 'PROJECT_NAME'>): Codes {
  const sealing = factorSecrets(config)
  // Loaded by those who use it.
  const load = () => import('otpauth')
  const options = { algorithm: 'SHA1', digits: 6, period: PERIOD_SECONDS }

  return {
    async newSecret(id, account) {
      const { Secret, TOTP } = await load()
      const secret = new Secret({ size: SECRET_BYTES })
      const totp = new TOTP({ ...options, issuer: config.PROJECT_NAME, label: account, secret })
      return { secret: secret.base32, sealed: sealing.seal(secret.base32, id), uri: totp.toString() }
    },
    async stepOf({ id, secret: sealed }, code) {
      const text = sealing.open(sealed, id)
      if (text === undefined || !/^\d{6}$/.test(code)) return undefined
      const { Secret, TOTP } = await load()
      const totp = new TOTP({ ...options, secret: Secret.fromBase32(text) })
      const timestamp = Date.now()
      const delta = totp.validate({ token: code, timestamp, window: 1 })
      return delta === null ? undefined : Math.floor(timestamp / 1000 / PERIOD_SECONDS) + delta
    },
  }
}

const RECOVERY_CODES = 10
const RECOVERY_BYTES = 10
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

/** Ten codes of 80 bits, `abcd-efgh-ijkl-mnop`. They are as good as random keys, so a plain hash of each is stored. */
export const newRecoveryCodes = (): string[] =>
  Array.from({ length: RECOVERY_CODES }, () => {
    let bits = BigInt(`0x${randomBytes(RECOVERY_BYTES).toString('hex')}`)
    let code = ''
    for (let at = 0; at < 16; at++) {
      code += (at > 0 && at % 4 === 0 ? '-' : '') + BASE32[Number(bits & 31n)]!
      bits >>= 5n
    }
    return code
  })

/** As people type it: whatever case, with spaces or without dashes. */
export const recoveryHash = (code: string): string =>
  createHash('sha256')
    .update(code.toLowerCase().replaceAll(/[^a-z2-7]/g, ''))
    .digest('base64url')

/** Six digits, with spaces as authenticators show them. */
export const readCode = (code: string): string => code.replaceAll(/\s/g, '')
