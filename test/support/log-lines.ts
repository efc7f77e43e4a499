import { EventEmitter, once } from 'node:events'
import { type Logger, symbols } from 'pino'
import { createLogger } from '../../src/http/observe/logger.ts'

export interface LogLines {
  readonly logger: Logger
  readonly lines: string[]
  /** How many lines have this in them. */
  count(text: RegExp): number
  /** Resolves when so many have, since the start. */
  told(text: RegExp, count?: number): Promise<void>
}

/** The production logger at its most talkative, and the lines that it wrote. */
export async function collectingLogger(
  ENVIRONMENT: 'local' | 'production' = 'production',
): Promise<LogLines> {
  const lines: string[] = []
  const events = new EventEmitter()
  const write = (line: string) => {
    lines.push(line)
    events.emit('line')
  }
  const logger = await createLogger({ ENVIRONMENT, LOG_LEVEL: 'trace' })
  Object.assign(logger, { [symbols.streamSym]: { write } })
  const count = (text: RegExp) => lines.filter((line) => text.test(line)).length
  return {
    logger,
    lines,
    count,
    async told(text, enough = 1) {
      while (count(text) < enough) await once(events, 'line')
    },
  }
}
