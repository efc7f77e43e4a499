import { buildApp } from './app.ts'
import { banner } from './banner.ts'
import { ConfigError, loadConfig } from './config.ts'
import { createLogger } from './logger.ts'

/** The process: config, app, listen, and a graceful stop. Nothing else reads signals. */

/** In-flight requests and the mail that is being sent get this long; then the process ends all the same. */
const STOP_WITHIN_MS = 9_000

async function main() {
  const config = loadConfig()
  const logger = await createLogger(config)
  const app = await buildApp(config, { logger })

  const stop = async (signal: string) => {
    app.log.info(`${signal}: stopping`)
    setTimeout(() => process.exit(1), STOP_WITHIN_MS).unref()
    app.beginStopping()
    await app.close()
    app.log.info('stopped')
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      process.once(signal, () => process.exit(1)) // asked again: at once
      stop(signal).catch((error: unknown) => fail(error))
    })
  }

  await app.listen({ host: config.HOST, port: config.PORT })
  if (config.ENVIRONMENT === 'local') console.log(banner(config))
}

/** What an operator can mend is said in plain words; anything else with where it happened. */
function fail(error: unknown): never {
  const expected = error instanceof ConfigError || (error as Error).name === 'DataFolderInUse'
  console.error(expected ? (error as Error).message : error)
  process.exit(1)
}

main().catch(fail)
