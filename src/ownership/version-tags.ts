import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { type Key, type Keyring, derive } from '../config/secrets/keys.ts'

/** Version of a row: its table, its id, and the transaction that wrote it. */
export interface RowVersion {
  readonly table: string
  readonly id: string
  readonly version: string
}

/**
 * Entity tags of versions. A transaction id would show clients how much the database writes, so it is encrypted together
 * with the row: one block of AES, 32 bits of transaction id and 96 bits of a hash of the row. A version has the same tag
 * in every process with the same SECRET_KEY; a forged tag, or one of another row, is no version. Tags of SECRET_KEY_PREVIOUS
 * still stand for their versions.
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
  const key = derive(secret, 'version tags')
  // ECB is safe here: each tag is a single block, and equal blocks are the same version. Blocks are independent in it, so
  // one cipher object does for all.
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false)
  const decipher = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false)
  return {
    write({ table, id, version }: RowVersion) {
      const block = hashOf(table, id)
      block.writeUInt32BE(Number(version))
      return cipher.update(block).toString('base64url')
    },
    read(tags: readonly string[], { table, id }: Omit<RowVersion, 'version'>) {
      const row = hashOf(table, id).subarray(NUMBER_BYTES)
      return tags.flatMap((tag) => {
        const given = Buffer.from(tag, 'base64url')
        if (given.length !== BLOCK_BYTES) return []
        const block = decipher.update(given)
        return row.equals(block.subarray(NUMBER_BYTES)) ? [String(block.readUInt32BE())] : []
      })
    },
  }
}

/** A block whose first bytes are to be overwritten with the transaction id. */
const hashOf = (table: string, id: string) =>
  createHash('sha256').update(`${table} ${id.toLowerCase()}`).digest().subarray(0, BLOCK_BYTES)
