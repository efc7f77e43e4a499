/**
 * The first process of a container ignores signals that it has no handler for. Exits at once: PostgreSQL rolls back a
 * migration in progress.
 */
export function endOnSignals() {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1))
}
