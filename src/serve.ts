import { buildApp, resources } from './app.ts'
import { banner } from './operations/banner.ts'
import { buildInfo } from './config/build-info.ts'
import { type Config, loadConfig } from './config/config.ts'
import type { App } from './contract/contract.ts'
import { forgottenMigration } from './database/migrate/forgotten-migration.ts'
import * as tables from './database/tables.ts'
import { createLogger, describeError, describeInFull } from './http/observe/logger.ts'
import { settingDoubts } from './config/setting-doubts.ts'
import { poolerDoubt } from './operations/pooler.ts'
import { startFault } from './operations/start-faults.ts'

/** Config, app, listen, and a graceful stop. server.ts reads the signals. */

/** Time for requests in progress; then they are answered with 503. */
const ANSWER_WITHIN_MS = 5_000

/** Time for these answers to be sent; then all connections are closed. */
const SEND_WITHIN_MS = 500

/** The process exits by then at the latest. */
const STOP_WITHIN_MS = 9_000

/**
 * Length of the accept queue, if the system allows it (Linux: net.core.somaxconn). Node's 511 is small for a burst, and a
 * dropped client retries after 1, 3 and 7 s only.
 */
const BACKLOG = 4_096

/** Node.js 20 reached its end of life in April 2026. It still runs the service. */
const OLDEST_MAINTAINED = 22
const MAJOR = Number.parseInt(process.versions.node, 10)

type Stop = (signal: NodeJS.Signals) => void

/**
 * Runs the service. Never throws: an error at start ends the process with exit code 1.
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
  if (config.unusedNames.length > 0)
    logger.info(`.env: names that mean nothing here: ${config.unusedNames.join(', ')}`)
  const all = [...Object.values(tables), ...resources.map(({ table }) => table)]
  const forgotten = config.ENVIRONMENT === 'local' ? forgottenMigration(all) : undefined
  if (forgotten !== undefined) console.warn(forgotten) // at once: the start may fail for it in a moment
  const told = new AbortController()
  // A database being created or a migration in progress finishes, or is given up after STOP_WITHIN_MS.
  onStop((signal) => {
    logger.info(`${signal}: stopping before the start is done`)
    exitWithin(STOP_WITHIN_MS)
    told.abort()
  })
  const app = await buildApp(config, { logger, stop: told.signal })
  app.log.info({ ...buildInfo, node: process.version, environment: config.ENVIRONMENT }, 'starting')
  if (config.ENVIRONMENT === 'local' && MAJOR < OLDEST_MAINTAINED)
    app.log.info(
      `Node.js ${process.version} gets no more security fixes: use the version in .nvmrc, as the image does`,
    )
  if (told.signal.aborted) await end(app)
  exitOnUncaught(app)
  const listening = listen(app, config)
  onStop((signal) => {
    app.log.info(`${signal}: stopping`)
    exitWithin(STOP_WITHIN_MS)
    setTimeout(() => app.answerLate(), ANSWER_WITHIN_MS).unref()
    setTimeout(() => app.server.closeAllConnections(), ANSWER_WITHIN_MS + SEND_WITHIN_MS).unref()
    void listening.then(() => app.beginStopping()).then(() => end(app))
  })
  await listening
  // An error that no operator can mend is a bug: it becomes an uncaught exception.
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
  process.exit(0) // an open SMTP connection would keep the process alive
}

const exitWithin = (ms: number) => setTimeout(() => process.exit(1), ms).unref()

async function greetWhenReady({ preparation, log }: App, config: Config) {
  await preparation.whenDone
  if (!preparation.done) return
  if (config.ENVIRONMENT === 'local') console.log(banner(config))
  const doubt = await poolerDoubt(config).catch(() => undefined) // a check that can't be made is no fault
  if (doubt !== undefined) log.warn(doubt)
}

/** After an uncaught exception the state is unknown: logs and reports it, and exits. */
function exitOnUncaught(app: App) {
  process.once('uncaughtException', (error, origin) => {
    process.on('uncaughtException', () => process.exit(1))
    app.log.fatal({ err: error, origin }, 'uncaught exception: exiting')
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

/** For the console as for the log: without the parameters of statements. */
function withoutSecrets(error: unknown, config: Config | undefined): string {
  const describe = config?.ENVIRONMENT === 'local' ? describeInFull : describeError
  const { type, message, code, statement, stack } = describe(error)
  const details = [code, statement].filter((detail) => detail !== undefined).map(String)
  return [`${type}: ${message}`, ...details, stack].join('\n')
}
