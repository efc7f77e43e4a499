import { drizzle } from 'drizzle-orm/pg-proxy'
import type { InjectOptions } from 'light-my-request'
import type { Test } from 'tap'
import { type Dependencies, buildApp } from '../../src/app.ts'
import { readConfig } from '../../src/config/config.ts'
import type { App } from '../../src/contract/contract.ts'
import type { Connection } from '../../src/database/connect.ts'
import type { Statement } from '../../src/database/statement.ts'
import { paperRoutes } from './papers.ts'
import type { Answer } from './service.ts'

/** As the start does. */
const LOOKS_FOR_A_SUPERUSER = /^select [^]*"is_superuser" and "users"\."is_active"/

/**
 * A database that holds the first superuser and nothing else, for what is answered before rows matter: starting
 * a real one takes most of a second.
 *
 * @param fault what each statement fails with from the moment that it gives something
 * @param pause what each statement waits for
 */
export function noDatabase(
  fault: () => Error | undefined = () => undefined,
  pause: () => Promise<void> | undefined = () => undefined,
): Connection {
  const ask = async (text: string) => {
    await pause()
    const error = fault()
    if (error) throw error
    return LOOKS_FOR_A_SUPERUSER.test(text) ? [[]] : []
  }
  const db = Object.assign(
    drizzle(async (text) => ({ rows: await ask(text) })),
    {
      transaction: () => Promise.reject(new Error('none here')),
      run: async <Row extends object>({ text }: Statement<never, Row>) => (await ask(text)) as never,
    },
  )
  const nothing = () => Promise.resolve()
  return { db, migrate: nothing, close: nothing }
}

/** The production app over `noDatabase`, with papers where not told otherwise; it is closed when the test ends. */
export async function startWithoutData(
  t: Test,
  env: Record<string, string> = {},
  connection = noDatabase(),
  { resources = [paperRoutes], logger }: Pick<Dependencies, 'resources' | 'logger'> = {},
): Promise<App> {
  const app = await buildApp(
    readConfig({
      ENVIRONMENT: 'local',
      SECRET_KEY: 'only for tests, and long enough for that',
      RATE_LIMIT_ENABLED: 'false', // nothing counts here
      ...env,
    }),
    { connection, resources, ...(logger && { logger }) },
  )
  t.teardown(() => app.close())
  return app
}

/** What the app says, paths as they are. */
export async function ask(app: App, request: InjectOptions): Promise<Answer> {
  const { statusCode: status, headers, body: text } = await app.inject(request)
  const isJson = headers['content-type']?.toString().includes('json') && text !== ''
  return { status, headers, text, body: isJson ? (JSON.parse(text) as unknown) : undefined }
}
