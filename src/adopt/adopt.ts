import { getTableName } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { applyMigrations } from '../database/migrate/migrate.ts'
import type { Send } from '../database/pool/transaction.ts'
import { bridge, bridgeRefusals, switchBridge } from './bridge.ts'
import { type Step, carryOver } from './carry-over.ts'
import { type Carried, carriedOf } from './carried.ts'
import { type AdoptionDatabase, openForAdoption } from './database.ts'
import { adoptedAt, followKeys, renameOldTables } from './foreign-keys.ts'
import { lockTables } from './locks.ts'
import { type Rows, lookAtRows } from './look/look-at-rows.ts'
import { type Found, lookAtTables } from './look/look-at-tables.ts'
import { refusalsOf } from './look/refusals.ts'
import { AdoptionRefused } from './look/refused.ts'
import { type Rename, renamesOf } from './renames.ts'
import { namesakeLines, planLines } from './look/report.ts'
import { openSessions } from './sessions.ts'

export interface AdoptionOptions {
  /** Says what it would do, and changes nothing. */
  readonly dryRun: boolean
  /** Gives all but one of those whose addresses differ by case alone another address, instead of refusing. */
  readonly rename: boolean
  /** Leaves views under the old names, for the template's backend. */
  readonly bridge: boolean
  /** Takes these views away again. */
  readonly bridgeOff: boolean
  /** How long the template's access tokens live at most, in days; 0 lets none in. */
  readonly tokenDays: number
}

/**
 * Takes over the database of a FastAPI template, in one transaction: its users and items become those of this service, and
 * its tables stay under other names. Whatever happens in between, all of it is done, or nothing.
 *
 * @param tables all of this service
 * @param tell is given each line of the report
 * @throws AdoptionRefused, and what adoptionFault (faults.ts) explains
 */
export async function adopt(
  url: string,
  tables: readonly PgTable[],
  options: AdoptionOptions,
  tell: (line: string) => void,
): Promise<void> {
  const database = openForAdoption(url)
  const hasItems = tables.some((table) => getTableName(table) === 'items')
  const names = hasItems ? (['user', 'item'] as const) : (['user'] as const)
  try {
    await (options.dryRun ? dryRun : run)(database, { tables, names, options, tell })
  } finally {
    await database.close()
  }
}

interface Adoption {
  readonly tables: readonly PgTable[]
  /** Of the template's tables that are carried over; items may have been removed from this service. */
  readonly names: readonly ('user' | 'item')[]
  readonly options: AdoptionOptions
  readonly tell: (line: string) => void
}

async function dryRun({ readOnly }: AdoptionDatabase, adoption: Adoption): Promise<void> {
  const { names, options, tell } = adoption
  await readOnly(async (send) => {
    const found = await lookAtTables(send, names)
    if (adoptedAt(found) !== undefined) return tell(alreadyAdopted(found))
    const carried = await adoptable(send, found, adoption)
    const rows = await lookAtRows(send, found, carried)
    const renames = await renamesOf(send, rows)
    for (const line of planLines(found, carried, rows, options.rename ? renames : rows.respelled)) tell(line)
    const refusals = rowRefusals(rows, options)
    if (refusals.length > 0) throw new AdoptionRefused(refusals)
    tell('Nothing was changed.')
  })
}

async function run({ transaction }: AdoptionDatabase, adoption: Adoption): Promise<void> {
  const { names, options, tell } = adoption
  let since = 0
  await transaction(async (send) => {
    const found = await lookAtTables(send, names)
    if (adoptedAt(found) !== undefined) {
      tell(alreadyAdopted(found))
      return switchBridge(send, found, options, tell)
    }
    const carried = await adoptable(send, found, adoption)
    tell(`Locking ${carried.map(({ from }) => `"${from}"`).join(', ')}`)
    await lockTables(send, found, carried)
    since = performance.now()
    const rows = await lookAtRows(send, found, carried)
    const refusals = rowRefusals(rows, options)
    if (refusals.length > 0) throw new AdoptionRefused(refusals)
    const renames = await renamesOf(send, rows)
    for (const line of planLines(found, carried, rows, renames)) tell(line)
    await carryEverything(send, found, carried, renames, adoption)
    await checkCounts(send, carried, rows)
  })
  if (since > 0) tell(`Adopted. The tables were locked for ${secondsSince(since)} s.`)
}

/** What can be adopted. @throws AdoptionRefused */
async function adoptable(send: Send, found: Found, { tables, names, options }: Adoption): Promise<Carried[]> {
  const carried = carriedOf(found, names)
  const refusals = await refusalsOf(send, found, carried, tables)
  if (options.bridge) refusals.push(...bridgeRefusals(found, carried))
  if (refusals.length > 0) throw new AdoptionRefused(refusals)
  return carried
}

function rowRefusals(rows: Rows, { rename }: AdoptionOptions): string[] {
  if (rename || rows.namesakes.length === 0) return [...rows.tooLong]
  return [
    ...rows.tooLong,
    [
      'addresses are one here, as they differ by case alone, or by how their domain is written; change them, or let --rename give all but the first of each another:',
      ...namesakeLines(rows),
    ].join('\n      '),
  ]
}

async function carryEverything(
  send: Send,
  found: Found,
  carried: readonly Carried[],
  renames: readonly Rename[],
  { options, tell }: Adoption,
): Promise<void> {
  const step: Step = async (what, work) => {
    const start = performance.now()
    const result = await work()
    tell(`  ${what} (${secondsSince(start)} s)`)
    return result
  }
  await step("this service's tables are made", () => applyMigrations(send))
  await send(`set local lock_timeout = 0`)
  await carryOver(send, step, found, carried, renames)
  await followKeys(send, step, found, carried)
  await openSessions(send, options.tokenDays)
  await renameOldTables(send, carried, new Date())
  if (options.bridge) await step("views under the template's names are made", () => bridge(send, carried))
}

const alreadyAdopted = (found: Found) =>
  `Database ${found.database} was adopted at ${adoptedAt(found)}; its rows are left as they are.`

/** @throws Error where rows were lost, which rolls all of it back */
async function checkCounts(send: Send, carried: readonly Carried[], rows: Rows): Promise<void> {
  for (const { from, to } of carried) {
    const [found] = await send<{ count: number }[]>(`select count(*)::float8 as count from ${to}`)
    if (found?.count !== rows[`${from}s`])
      throw new Error(`${to} has ${found?.count} rows of ${rows[`${from}s`]}`)
  }
}

const secondsSince = (start: number) => ((performance.now() - start) / 1000).toFixed(1)
