import type { Send } from '../../database/pool/transaction.ts'
import { isKnownEmail, isSameEmail, readEmail, unicodeForm } from '../../text/email-address.ts'
import type { Rename } from '../renames.ts'

/** Somebody's address that has letters beyond ASCII. */
export interface Spelled {
  readonly id: string
  readonly email: string
  /** As the database's locale folds it: some leave letters beyond ASCII as they are. */
  readonly lowered: string
  /** As this service would store it: in normal form, its domain in ASCII. */
  readonly stored: string
}

export async function spelledBeyondAscii(send: Send): Promise<Spelled[]> {
  const rows = await send<Omit<Spelled, 'stored'>[]>(
    `select id, email::text as email, lower(email::text) as lowered from "user" where email::text ~ '[^ -~]' order by id`,
  )
  return rows.map((row) => Object.assign(row, { stored: readEmail(row.email) }))
}

/**
 * Those who could neither sign in nor recover with their address, as it is looked up in other letters than it is stored in: a
 * capital that the locale does not fold, or a form that is not normal. They get the address as this service would store it.
 */
export const respellingsOf = (spelled: readonly Spelled[]): Rename[] =>
  spelled
    .filter(({ lowered, stored }) => isKnownEmail(stored) && !isFound(lowered, stored))
    .map(({ id, email, stored }) => ({ id, from: email, to: stored }))

const isFound = (lowered: string, stored: string) =>
  [stored, unicodeForm(stored) ?? stored].some((lookedUp) => isSameEmail(lookedUp, lowered))
