import { faultCode } from '../database/faults.ts'
import type { Send } from '../database/pool/transaction.ts'
import type { Carried } from './carried.ts'
import type { Found } from './look/look-at-tables.ts'
import { AdoptionRefused } from './look/refused.ts'

/** How long a lock is waited for: whoever reads or writes waits behind it. */
const LOCK_TIMEOUT = '5s'

/**
 * Nobody reads or writes the tables until the end: what was read before a row was copied could not be written after. The keys of
 * people's own tables are changed, so those are locked as well.
 */
export async function lockTables(send: Send, found: Found, carried: readonly Carried[]): Promise<void> {
  await send(CHECK_CONNECTION)
  await send(`set local maintenance_work_mem = '256MB'`)
  await send(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
  const names = [...carried.map(({ from }) => `"${from}"`), ...found.references.map(({ table }) => table)]
  await send('savepoint locking')
  try {
    await send(`lock table ${[...new Set(names)].join(', ')} in access exclusive mode`)
  } catch (error) {
    if (!IS_LOCKED.test(faultCode(error) ?? '')) throw error
    await send('rollback to savepoint locking')
    throw new AdoptionRefused(await holdersOf(send))
  }
}

/** A process that is killed in the middle of a long statement does not hold the locks until its end, where the server's system can tell. */
const CHECK_CONNECTION = `
  do $$ begin
    perform set_config('client_connection_check_interval', '1s', true);
  exception when invalid_parameter_value then null;
  end $$`

/** lock_not_available, deadlock_detected */
const IS_LOCKED = /^(55P03|40P01)$/

async function holdersOf(send: Send): Promise<string[]> {
  const holders = await send<{ holder: string }[]>(LOCK_HOLDERS)
  return [
    [
      `other sessions use the tables for longer than ${LOCK_TIMEOUT}; stop the template's backend, or try again:`,
      ...holders.map(({ holder }) => holder),
    ].join('\n      '),
  ]
}

/** Who holds locks on the tables: sessions, and how to end them. */
const LOCK_HOLDERS = `
  select distinct concat(
    coalesce(nullif(application_name, ''), 'unnamed'), ' of role ', usename, ' from ', coalesce(host(client_addr), 'a socket'),
    ', ', state, ' for ', extract(epoch from clock_timestamp() - state_change)::integer,
    ' s: wait for it, or select pg_terminate_backend(', pid, ')'
  ) as holder
  from pg_locks join pg_stat_activity using (pid)
  where locktype = 'relation' and granted and pid <> pg_backend_pid()
    and pg_locks.database = (select oid from pg_database where datname = current_database())
    and relation in (
      select oid from pg_class where relname in ('user', 'item') and relnamespace = 'public'::regnamespace
      union select conrelid from pg_constraint join pg_class on pg_class.oid = confrelid
      where contype = 'f' and relname in ('user', 'item') and pg_class.relnamespace = 'public'::regnamespace
    )`
