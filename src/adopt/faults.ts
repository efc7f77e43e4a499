import type { Config } from '../config/config.ts'
import { faultCode, ownWords } from '../database/faults.ts'
import { startFault } from '../operations/start-faults.ts'

/** SQLSTATE of what an adoption meets, and what is to be done. */
const FIXES: Readonly<Record<string, string>> = {
  '53100': "the database's disk is full; --dry-run says how much an adoption needs",
  '42501': 'the role lacks a privilege: run this as the owner of the tables',
}

/**
 * What went wrong, and that nothing of it was kept: PostgreSQL rolled it back.
 *
 * @returns undefined where the error is no database's: a fault of ours
 */
export function adoptionFault(error: unknown, config: Config | undefined): string | undefined {
  if ((error as Error).name === 'AdoptionRefused') return (error as Error).message
  const code = faultCode(error) ?? ''
  const fix = FIXES[code]
  if (fix !== undefined) return `Nothing was adopted: ${fix} (${code}, "${ownWords(error)}").`
  const fault = startFault(error, config)
  if (fault !== undefined) return fault
  return /^[0-9A-Z]{5}$/.test(code) ? `Nothing was adopted (${code}): ${ownWords(error)}` : undefined
}
