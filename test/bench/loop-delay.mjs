import { monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * Loaded into measured servers before anything else: says on request how late the event loop was at the 99th
 * percentile since the last time, in milliseconds. Its timer's own wait is taken off. It begins when first asked: to wake
 * up that often costs a hundredth of what is measured elsewhere. It collects garbage on request where Node runs with --expose-gc.
 */
const resolution = 5
const histogram = monitorEventLoopDelay({ resolution })

process.on('message', (message) => {
  if (message === 'collect') {
    globalThis.gc?.()
    process.send?.(0)
  }
  if (message !== 'loop delay') return
  histogram.enable()
  process.send?.(Math.max(0, histogram.percentile(99) / 1e6 - resolution))
  histogram.reset()
})
process.channel?.unref()
