import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto'

/** The version of a row: of which table, which row, and the transaction that wrote it. */
export interface RowVersion {
  readonly table: string
  readonly id: string
  readonly version: string
}

/**
 * Versions as they are shown. PostgreSQL's number of a transaction would tell everybody how much the database writes,
 * so it is enciphered together with the row that it is of: one block of AES, which is 32 bits of number and 96 of a
 * hash of the row. The same version has the same tag in every process with the same SECRET_KEY, and a tag that is made
 * up, or of another row, is no version.
 */
export interface VersionTags {
  write(of: RowVersion): string
  /** The versions in tags that are of this row, which is hashed once however many tags there are. */
  read(tags: readonly string[], of: Omit<RowVersion, 'version'>): string[]
}

const NUMBER_BYTES = 4
const BLOCK_BYTES = 16

/** @param secret SECRET_KEY */
export function versionTags(secret: string): VersionTags {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'groundwork/version tags', 32))
  // Of single blocks, each of which has another row or number in it, this mode tells nothing; blocks don't depend on
  // each other in it, so one cipher does for all.
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

/** A block whose first bytes are free for the number. */
const hashOf = (table: string, id: string) =>
  createHash('sha256').update(`${table} ${id.toLowerCase()}`).digest().subarray(0, BLOCK_BYTES)
