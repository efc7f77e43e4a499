import { EventEmitter, once } from 'node:events'
import { type Logger, symbols } from 'pino'
import { createLogger } from '../../src/logger.ts'

export interface LogLines {
  readonly logger: Logger
  readonly lines: string[]
  /** Resolves when so many lines, since the start, have this text. */
  told(text: string, count?: number): Promise<void>
}

/** The production logger at its most talkative, and the lines that it wrote. */
export async function collectingLogger(): Promise<LogLines> {
  const lines: string[] = []
  const events = new EventEmitter()
  const write = (line: string) => {
    lines.push(line)
    events.emit('line')
  }
  const logger = await createLogger({ ENVIRONMENT: 'production', LOG_LEVEL: 'trace' })
  Object.assign(logger, { [symbols.streamSym]: { write } })
  return {
    logger,
    lines,
    async told(text, count = 1) {
      while (lines.filter((line) => line.includes(text)).length < count) await once(events, 'line')
    },
  }
}
