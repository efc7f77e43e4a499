/**
 * A script that is the first process of a container gets no signal without a handler. It ends at once: what a migration
 * has begun, PostgreSQL rolls back.
 */
export function endOnSignals() {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1))
}
