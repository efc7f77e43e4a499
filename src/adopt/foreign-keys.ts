import type { Send } from '../database/pool/transaction.ts'
import type { Step } from './carry-over.ts'
import type { Carried } from './carried.ts'
import type { Found, Reference } from './look/look-at-tables.ts'

/** Foreign keys of people's own tables lead to the new tables from here on, with all that they say of deletion. */
export async function followKeys(
  send: Send,
  step: Step,
  { references, links }: Found,
  carried: readonly Carried[],
): Promise<void> {
  for (const reference of references) {
    const target = carried.find(({ from }) => from === reference.to)
    if (!target) continue
    await step(`${reference.name} of ${reference.table} leads to ${target.to}`, async () => {
      await send(`alter table ${reference.table} drop constraint ${reference.name}`)
      await send(
        `alter table ${reference.table} add constraint ${reference.name} ${leadingTo(reference, target.to)}`,
      )
    })
  }
  // Nothing that happens to other tables reaches the old ones, and they stop no deletion there.
  for (const { table, name } of links) await send(`alter table ${table} drop constraint ${name}`)
}

/** As pg_get_constraintdef writes it: `FOREIGN KEY (owner_id) REFERENCES "user"(id) ON DELETE CASCADE`. */
const leadingTo = ({ definition }: Reference, table: string) =>
  definition.replace(/ REFERENCES (?:public\.)?(?:"user"|item)\(id\)/, ` REFERENCES ${table}(id)`)

/** The old tables stay, under other names, until they are dropped. */
export async function renameOldTables(send: Send, carried: readonly Carried[], at: Date): Promise<void> {
  for (const { from, kept } of carried) {
    await send(`alter table "${from}" rename to ${kept}`)
    await send(`comment on table ${kept} is '${ADOPTED}${at.toISOString()}'`)
  }
}

const ADOPTED = 'Adopted at '

/** When the database was adopted, as the comment of the old table says. */
export function adoptedAt({ tables }: Found): string | undefined {
  const note = tables.get('template_user')?.note ?? ''
  return note.startsWith(ADOPTED) && tables.get('user')?.kind !== 'table'
    ? note.slice(ADOPTED.length)
    : undefined
}
