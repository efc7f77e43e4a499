import { createCipheriv, createDecipheriv } from 'node:crypto'
import { type Key, type Keyring, derive } from '../config/secrets/keys.ts'

/** Version of a row: its table, its id, and the transaction that wrote it. */
export interface RowVersion {
  readonly table: string
  readonly id: string
  readonly version: string
}

/**
 * Entity tags of versions. A transaction id would show clients how much the database writes, so it is encrypted together
 * with the row: one block of AES, the row's id with the transaction id XORed into its first 32 bits, by a key for each
 * table. A version has the same tag in every process with the same SECRET_KEY; a forged tag is no version, nor is one of
 * another row, unless somebody made their ids alike but for those 32 bits. Tags of SECRET_KEY_PREVIOUS still stand for their
 * versions.
 */
export interface VersionTags {
  /** All tags of a version, one for each key; the first is the one to send. */
  write(of: RowVersion): readonly [string, ...string[]]
  /** Versions in those of the tags that belong to this row. */
  read(tags: readonly string[], of: Omit<RowVersion, 'version'>): string[]
}

const NUMBER_BYTES = 4
const BLOCK_BYTES = 16

export function versionTags({ current, previous }: Keyring): VersionTags {
  const tags = tagsBy(current)
  const before = previous && tagsBy(previous)
  return {
    write: (of) => [tags.write(of), ...(before ? [before.write(of)] : [])],
    read: (given, of) => [...tags.read(given, of), ...(before?.read(given, of) ?? [])],
  }
}

function tagsBy({ secret }: Key) {
  const ciphers = new Map<string, ReturnType<typeof ciphersOf>>()
  const of = (table: string) => {
    const known = ciphers.get(table) ?? ciphersOf(derive(secret, `version tags ${table}`))
    ciphers.set(table, known)
    return known
  }
  return {
    write({ table, id, version }: RowVersion) {
      const block = blockOf(id)
      block.writeUInt32BE((Number(version) ^ block.readUInt32BE()) >>> 0)
      return of(table).cipher.update(block).toString('base64url')
    },
    read(tags: readonly string[], { table, id }: Omit<RowVersion, 'version'>) {
      const row = blockOf(id)
      return tags.flatMap((tag) => {
        const given = Buffer.from(tag, 'base64url')
        if (given.length !== BLOCK_BYTES) return []
        const block = of(table).decipher.update(given)
        const isOfRow = row.subarray(NUMBER_BYTES).equals(block.subarray(NUMBER_BYTES))
        return isOfRow ? [String((block.readUInt32BE() ^ row.readUInt32BE()) >>> 0)] : []
      })
    },
  }
}

/**
 * ECB is safe here: each tag is a single block, and equal blocks are the same version. Blocks are independent in it, so one
 * cipher object does for all.
 */
const ciphersOf = (key: Buffer) => ({
  cipher: createCipheriv('aes-256-ecb', key, null).setAutoPadding(false),
  decipher: createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false),
})

/** A UUID, however it is written. */
const blockOf = (id: string) => Buffer.from(id.replaceAll('-', ''), 'hex')
