import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto'

/** Version of a row: its table, its id, and the transaction that wrote it. */
export interface RowVersion {
  readonly table: string
  readonly id: string
  readonly version: string
}

/**
 * Entity tags of versions. A transaction id would show clients how much the database writes, so it is encrypted together
 * with the row: one block of AES, 32 bits of transaction id and 96 bits of a hash of the row. A version has the same tag
 * in every process with the same SECRET_KEY; a forged tag, or one of another row, is no version.
 */
export interface VersionTags {
  write(of: RowVersion): string
  /** Versions in those of the tags that belong to this row. */
  read(tags: readonly string[], of: Omit<RowVersion, 'version'>): string[]
}

const NUMBER_BYTES = 4
const BLOCK_BYTES = 16

/** @param secret SECRET_KEY */
export function versionTags(secret: string): VersionTags {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'groundwork/version tags', 32))
  // ECB is safe here: each tag is a single block, and equal blocks are the same version. Blocks are independent in it, so
  // one cipher object does for all.
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false)
  const decipher = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false)
  return {
    write({ table, id, version }) {
      const block = hashOf(table, id)
      block.writeUInt32BE(Number(version))
      return cipher.update(block).toString('base64url')
    },
    read(tags, { table, id }) {
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
