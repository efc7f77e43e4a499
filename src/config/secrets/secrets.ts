import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { type Key, type Keyring, derive } from './keys.ts'

/**
 * Secrets that have to be read again, as those of second factors: encrypted with AES-256-GCM and a key derived from SECRET_KEY,
 * bound to what they belong to. The id of the key stands in front, so that a secret of another key is told from a forged one.
 */
export interface Secrets {
  /** @param of what it belongs to, such as the id of its row: read back for that alone */
  seal(secret: string, of: string): string
  /** Undefined where it was sealed with a key that is not set, for something else, or was altered. */
  open(sealed: string, of: string): string | undefined
  /** Id of the key that `seal` uses. */
  readonly key: string
  /** Id of the key before; undefined where SECRET_KEY_PREVIOUS is unset. */
  readonly previous: string | undefined
}

const NONCE_BYTES = 12
const TAG_BYTES = 16
const ID_BYTES = 6

export function secrets({ current, previous }: Keyring, purpose: string): Secrets {
  const now = sealer(current, purpose)
  const before = previous && sealer(previous, purpose)
  return {
    key: now.id,
    previous: before?.id,
    seal: now.seal,
    open(sealed, of) {
      const [id, text = ''] = sealed.split('.')
      return [now, before].find((sealer) => sealer?.id === id)?.open(Buffer.from(text, 'base64url'), of)
    },
  }
}

function sealer({ secret }: Key, purpose: string) {
  const key = derive(secret, `${purpose}/key`)
  const id = derive(secret, `${purpose}/id`, ID_BYTES).toString('base64url')
  return {
    id,
    seal(text: string, of: string): string {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(of))
      const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return `${id}.${sealed.toString('base64url')}`
    },
    open(bytes: Buffer, of: string): string | undefined {
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES))
        .setAAD(Buffer.from(of))
        .setAuthTag(bytes.subarray(-TAG_BYTES))
      try {
        return Buffer.concat([
          decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)),
          decipher.final(),
        ]).toString()
      } catch {
        return undefined
      }
    },
  }
}
