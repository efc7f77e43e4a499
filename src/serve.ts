import { buildApp } from './app.ts'
import { banner } from './operations/banner.ts'
import { buildInfo } from './config/build-info.ts'
import { type Config, loadConfig } from './config/config.ts'
import type { App } from './contract/contract.ts'
import { forgottenMigration } from './database/migrate/forgotten-migration.ts'
import { createLogger, describeError, describeInFull } from './http/observe/logger.ts'
import { settingDoubts } from './config/setting-doubts.ts'
import { startFault } from './operations/start-faults.ts'

/** Config, app, listen, and a graceful stop. server.ts reads the signals. */

/** Requests under way get this long; whoever has not finished asking by then loses the connection. */
const ANSWER_WITHIN_MS = 5_000

/** The process ends by then, whatever is still under way. */
const STOP_WITHIN_MS = 9_000

/**
 * Connections that may wait to be accepted, where the system allows as many (Linux: net.core.somaxconn). Node's 511 are
 * few for a burst, and who is dropped tries again after 1 s, 3 s, 7 s.
 */
const BACKLOG = 4_096

type Stop = (signal: NodeJS.Signals) => void

/**
 * Runs the service. It never throws: what goes wrong at start ends the process with 1.
 *
 * @param onStop is told what a signal does from now on
 */
export async function serve(onStop: (stop: Stop) => void): Promise<void> {
  let config: Config | undefined
  try {
    config = loadConfig()
    await start(config, onStop)
  } catch (error) {
    fail(error, config)
  }
}

async function start(config: Config, onStop: (stop: Stop) => void): Promise<void> {
  const logger = await createLogger(config)
  for (const doubt of settingDoubts(config)) logger.warn(doubt)
  const forgotten = config.ENVIRONMENT === 'local' ? forgottenMigration() : undefined
  if (forgotten !== undefined) console.warn(forgotten) // at once: the start may fail for it in a moment
  const told = new AbortController()
  // What the start is in the middle of (a database that is made, a migration) comes to its end, or is let go of.
  onStop((signal) => {
    logger.info(`${signal}: stopping before the start is done`)
    exitWithin(STOP_WITHIN_MS)
    told.abort()
  })
  const app = await buildApp(config, { logger, stop: told.signal })
  app.log.info({ ...buildInfo, node: process.version, environment: config.ENVIRONMENT }, 'starting')
  if (told.signal.aborted) await end(app)
  endOnFaultOfOurs(app)
  const listening = listen(app, config)
  onStop((signal) => {
    app.log.info(`${signal}: stopping`)
    exitWithin(STOP_WITHIN_MS)
    setTimeout(() => app.server.closeAllConnections(), ANSWER_WITHIN_MS).unref()
    void listening.then(() => app.beginStopping()).then(() => end(app))
  })
  await listening
  // What is no fault of an operator's is not caught: it is one of ours.
  void greetWhenReady(app, config).catch((error: unknown) => {
    const line = startFault(error, config)
    if (line === undefined) throw error
    app.log.fatal(line)
    process.exit(1)
  })
}

async function listen(app: App, { HOST, PORT }: Config) {
  await app.listen({ host: HOST, port: PORT, backlog: BACKLOG })
}

async function end(app: App): Promise<never> {
  await app.close()
  app.log.info('stopped')
  process.exit(0) // a mail server that keeps silent would hold it up
}

const exitWithin = (ms: number) => setTimeout(() => process.exit(1), ms).unref()

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

function fail(error: unknown, config: Config | undefined): never {
  console.error(startFault(error, config) ?? withoutSecrets(error, config))
  process.exit(1)
}

/** As the log has it: without a statement's parameters. */
function withoutSecrets(error: unknown, config: Config | undefined): string {
  const describe = config?.ENVIRONMENT === 'local' ? describeInFull : describeError
  const { type, message, code, statement, stack } = describe(error)
  const details = [code, statement].filter((detail) => detail !== undefined).map(String)
  return [`${type}: ${message}`, ...details, stack].join('\n')
}
