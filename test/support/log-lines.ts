import { type Logger, symbols } from 'pino'
import { createLogger } from '../../src/logger.ts'

/** The production logger at its most talkative, and the lines that it wrote. */
export async function collectingLogger(): Promise<{ logger: Logger; lines: string[] }> {
  const lines: string[] = []
  const logger = await createLogger({ ENVIRONMENT: 'production', LOG_LEVEL: 'trace' })
  Object.assign(logger, { [symbols.streamSym]: { write: (line: string) => lines.push(line) } })
  return { logger, lines }
}
