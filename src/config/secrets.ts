import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/**
 * Secrets that have to be read again, as those of second factors: encrypted with AES-256-GCM and a key derived from SECRET_KEY,
 * bound to what they belong to. The id of the key stands in front, so that a secret of another key is told from a forged one.
 */
export interface Secrets {
  /** @param of what it belongs to, such as the id of its row: read back for that alone */
  seal(secret: string, of: string): string
  /** Undefined where it was sealed with another key, for something else, or was altered. */
  open(sealed: string, of: string): string | undefined
  /** Id of the key that `seal` uses. */
  readonly key: string
}

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** @param secret SECRET_KEY */
export function secrets(secret: string, purpose: string): Secrets {
  const derive = (what: string, bytes: number) =>
    Buffer.from(hkdfSync('sha256', secret, '', `groundwork/${purpose}/${what}`, bytes))
  const key = derive('key', 32)
  const id = derive('id', 6).toString('base64url')
  return {
    key: id,
    seal(text, of) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(of))
      const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return `${id}.${sealed.toString('base64url')}`
    },
    open(sealed, of) {
      const [by, text = ''] = sealed.split('.')
      const bytes = Buffer.from(text, 'base64url')
      if (by !== id || bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
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
