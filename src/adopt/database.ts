import { openForTransaction, takeMigrationLock } from '../database/migrate/migrate.ts'
import { CLOSE_SECONDS } from '../database/pool/open-postgres.ts'
import { checkDatabase } from '../database/pool/session-settings.ts'
import { type Send, inTransaction } from '../database/pool/transaction.ts'

/** One connection, for one transaction. */
export interface AdoptionDatabase {
  /** Under the lock of migrations, as nobody may start the service or adopt at the same time. @throws MigrationLocked */
  transaction(work: (send: Send) => Promise<void>): Promise<void>
  readOnly(work: (send: Send) => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** How long another process that migrates or adopts is waited for. */
const WAIT_MS = 10_000

export function openForAdoption(url: string): AdoptionDatabase {
  const { client, losses } = openForTransaction(url, 'groundwork adoption')
  const within = async (begin: (send: Send) => Promise<unknown>, work: (send: Send) => Promise<void>) => {
    await checkDatabase(client)
    await inTransaction(client, losses, async (send) => {
      await begin(send)
      await work(send)
    })
  }
  return {
    transaction: (work) => within((send) => takeMigrationLock(send, WAIT_MS), work),
    readOnly: (work) => within((send) => send(READ_ONLY).simple(), work),
    close: () => client.end({ timeout: CLOSE_SECONDS }),
  }
}

const READ_ONLY = `
  set transaction isolation level repeatable read read only;
  set local search_path = public;
  set local statement_timeout = 0`
