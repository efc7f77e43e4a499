import type { Config } from '../../config/config.ts'
import type { Database } from '../../database/connect.ts'
import { linesOf } from '../../text/lines.ts'
import { wrapped } from '../passwords/kinds/unsalted.mjs'
import type { Passwords } from '../passwords/passwords.ts'
import { type UserToAdd, addValues, compileAddUsers } from './add-users.ts'
import { type ImportedUser, LONGEST_LINE, RowFaults, readRow } from './read-row.ts'

export interface ImportOptions {
  /** Tries all of it, and adds nobody. */
  readonly isDryRun: boolean
  /** Adds the users of the good lines, and leaves out the others. */
  readonly takesPart: boolean
  /** Adds users without a known hash, and mails them a link to choose a password. */
  readonly recovers: boolean
}

export interface ImportHandlers {
  /** Told of each line that is not imported. */
  onFault(line: number, fault: string): void
  onProgress(lines: number): void
}

export interface ImportResult {
  readonly lines: number
  /** Lines that are not imported. */
  readonly faulty: number
  /** Good lines, whether they are imported or not. */
  readonly good: number
  readonly isImported: boolean
  /** Good lines by the kind of their hash. */
  readonly kinds: ReadonlyMap<string, number>
}

interface Services {
  readonly db: Database
  readonly config: Pick<Config, 'EMAIL_VERIFY_TOKEN_EXPIRE_HOURS'>
  /** With room for BATCH hashes. */
  readonly passwords: Passwords
}

/** Users that are added by one statement. */
export const BATCH = 1_000

/**
 * Imports users from lines of JSON in one transaction: all of them, or none where one line is faulty, unless told otherwise.
 * Holds a batch in memory, however long the file is.
 */
export async function importUsers(
  { db, config, passwords }: Services,
  chunks: AsyncIterable<Buffer>,
  options: ImportOptions,
  { onFault, onProgress }: ImportHandlers,
): Promise<ImportResult> {
  const addUsers = compileAddUsers(config)
  const kinds = new Map<string, number>()
  let [lines, good, faulty] = [0, 0, 0]

  const leaveOut = (line: number, fault: string) => {
    faulty += 1
    onFault(line, fault)
  }

  /** Undefined where the line is empty or faulty. */
  function read(bytes: Buffer | undefined): ImportedUser | undefined {
    if (bytes?.toString('latin1').trim() === '') return undefined
    const row = readRow(lines, bytes)
    if (row instanceof RowFaults) leaveOut(lines, row.faults.join('; '))
    else if (row.hash.kind === 'unknown' && !options.recovers) leaveOut(lines, NO_KNOWN_HASH)
    else return row
    return undefined
  }

  async function toAdd({ hash, ...row }: ImportedUser): Promise<UserToAdd> {
    if ('hash' in hash) return { ...row, hashed_password: hash.hash }
    if (!('digest' in hash)) return { ...row, hashed_password: '' }
    const argon2id = options.isDryRun ? '' : await passwords.hash(hash.of)
    return { ...row, hashed_password: wrapped(hash.digest, argon2id) }
  }

  async function add(runs: Database, batch: readonly ImportedUser[]) {
    if (batch.length > 0) {
      const rows = await Promise.all(batch.map(toAdd))
      const leftOut = new Map(
        (await runs.run(addUsers, addValues(rows))).map((row) => [row.line, row.reason]),
      )
      for (const [line, reason] of leftOut) leaveOut(line, reason)
      const added = batch.filter(({ line }) => !leftOut.has(line))
      good += added.length
      for (const { hash } of added) kinds.set(hash.kind, (kinds.get(hash.kind) ?? 0) + 1)
    }
    onProgress(lines)
  }

  async function addAll(runs: Database) {
    let batch: ImportedUser[] = []
    for await (const bytes of linesOf(chunks, LONGEST_LINE)) {
      lines += 1
      const row = read(bytes)
      if (row) batch.push(row)
      if (batch.length < BATCH) continue
      await add(runs, batch)
      batch = []
    }
    await add(runs, batch)
    if (options.isDryRun || (faulty > 0 && !options.takesPart)) throw new NothingImported()
  }

  const isImported = await db.transaction(addAll).then(
    () => true,
    (error: unknown) => {
      if (error instanceof NothingImported) return false
      throw error
    },
  )
  return { lines, good, faulty, isImported, kinds }
}

const NO_KNOWN_HASH = 'hashed_password: none, or of no known kind'

/** Rolls back. */
class NothingImported extends Error {
  override readonly name = 'NothingImported'
}
