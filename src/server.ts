import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { buildApp } from './app.ts'
import { banner } from './banner.ts'
import { type Config, loadConfig } from './config.ts'
import type { App } from './contract.ts'
import { createLogger } from './logger.ts'
import { startFault } from './start-faults.ts'

/** The process: config, app, listen, and a graceful stop. Nothing else reads signals. */

/** Requests under way get this long; whoever has not finished asking by then loses the connection. */
const ANSWER_WITHIN_MS = 5_000

/** The process ends by then, whatever is still under way. */
const STOP_WITHIN_MS = 9_000

/**
 * Connections that may wait to be accepted, where the system allows as many (Linux: net.core.somaxconn). Node's 511 are
 * few for a burst, and who is dropped tries again after 1 s, 3 s, 7 s.
 */
const BACKLOG = 4_096

/**
 * V8 lets a small heap grow fourfold before it collects: 30 MB that live held 70 to 130, whose pages it keeps from then
 * on. To let it grow by half is enough. Not from the beginning, as a first start would take a second longer; and how far
 * a heap may grow is decided when it is collected, so it is collected now.
 */
function keepHeapSmall() {
  setFlagsFromString('--heap-growing-percent=50')
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
}

let config: Config | undefined

async function main() {
  config = loadConfig()
  const logger = await createLogger(config)
  const app = await buildApp(config, { logger })
  endOnFaultOfOurs(app)

  const stop = async (signal: string) => {
    app.log.info(`${signal}: stopping`)
    setTimeout(() => process.exit(1), STOP_WITHIN_MS).unref()
    setTimeout(() => app.server.closeAllConnections(), ANSWER_WITHIN_MS).unref()
    await app.beginStopping()
    await app.close()
    app.log.info('stopped')
    process.exit(0) // a mail server that keeps silent would hold it up
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      process.once(signal, () => process.exit(1)) // asked again: at once
      stop(signal).catch(fail)
    })
  }

  keepHeapSmall()
  await app.listen({ host: config.HOST, port: config.PORT, backlog: BACKLOG })
  void greetWhenReady(app, config) // not caught: what fails there is a fault of ours
}

async function greetWhenReady({ preparation }: App, config: Config) {
  await preparation.whenDone
  if (config.ENVIRONMENT === 'local' && preparation.done) console.log(banner(config))
}

/** What nobody caught leaves the process in a state that nobody knows: it is told of, and replaced by a new one. */
function endOnFaultOfOurs(app: App) {
  process.once('uncaughtException', (error, origin) => {
    process.on('uncaughtException', () => process.exit(1))
    app.log.fatal({ err: error, origin }, 'a fault of ours: the process ends')
    app.reportError(error)
    void endWhenReported(app)
  })
}

async function endWhenReported(app: App) {
  await app.reported()
  process.exit(1)
}

function fail(error: unknown): never {
  console.error(startFault(error, config) ?? error)
  process.exit(1)
}

main().catch(fail)
