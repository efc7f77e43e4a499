/** Key of the advisory lock. Must stay the same in all versions. */
export const MIGRATION_LOCK = 7_042_917_263

/** Which connection holds the lock, and how to end it. pg_locks shows the key in two halves. */
export const MIGRATION_LOCK_HOLDER = `
  select concat(
    coalesce(nullif(application_name, ''), 'unnamed'), ' of role ', usename, ' from ',
    coalesce(host(client_addr), 'a socket'), ', ', state, ' for ',
    extract(epoch from clock_timestamp() - state_change)::integer,
    ' s; unless it migrates, end it: select pg_terminate_backend(', pid, ')'
  ) as holder
  from pg_locks join pg_stat_activity using (pid)
  where locktype = 'advisory' and objsubid = 1 and granted
    and pg_locks.database = (select oid from pg_database where datname = current_database())
    and classid::bigint << 32 | objid::bigint = ${MIGRATION_LOCK}
  limit 1`
