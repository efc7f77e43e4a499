import type { Send } from '../database/pool/transaction.ts'
import { envelopeForm, readEmail, unicodeForm } from '../text/email-address.ts'
import type { Rows } from './look/look-at-rows.ts'

/** Somebody whose address differs from another's by case alone, or by whether its domain is written in ASCII. */
export interface Namesake {
  /** What they have in common. */
  readonly address: string
  readonly id: string
  readonly email: string
  readonly is_superuser: boolean
  readonly items: number
  readonly created_at: Date | null
}

export interface Rename {
  readonly id: string
  readonly from: string
  readonly to: string
}

/**
 * New addresses for all but the first of each group: `ada+2@example.com`, which most mail servers deliver to `ada@`.
 *
 * Those who could not be found by theirs get another spelling of it.
 *
 * @param rows `namesakes` grouped, whoever keeps the address first
 */
export async function renamesOf(
  send: Send,
  { namesakes, respelled }: Pick<Rows, 'namesakes' | 'respelled'>,
): Promise<Rename[]> {
  const renames = new Map(respelled.map((rename) => [rename.id, rename]))
  const taken = new Set<string>()
  for (const { address, id, email } of namesakes) {
    const isFirst = !taken.has(address)
    const to = isFirst ? email : await freeAddress(send, readEmail(email), taken)
    taken.add(isFirst ? address : to.toLowerCase())
    if (!isFirst) renames.set(id, { id, from: email, to })
  }
  return [...renames.values()]
}

async function freeAddress(send: Send, email: string, taken: ReadonlySet<string>): Promise<string> {
  const at = email.lastIndexOf('@')
  for (let number = 2; ; number += 1) {
    const address = `${email.slice(0, at)}+${number}${email.slice(at)}`
    const spelled = envelopeForm(address)
    const [found] = await send(
      'select from "user" where lower(email::text) in (lower($1), lower($2), lower($3))',
      [address, spelled, unicodeForm(spelled) ?? spelled],
    )
    if (!found && !taken.has(address.toLowerCase())) return address
  }
}
