/**
 * The process: signal handlers first, then the service. A container's first process gets no signal that it has no
 * handler for, so nothing that takes time may come before them: no import but the one below.
 */

type Stop = (signal: NodeJS.Signals) => void

/** Until the start has begun, there is nothing to stop. */
let stop: Stop = () => process.exit(0)

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    process.once(signal, () => process.exit(1)) // a second signal exits at once
    stop(signal)
  })
}

const { serve } = await import('./serve.ts')
await serve((begun) => (stop = begun))
