import { buildInfo } from '../../config/build-info.ts'
import type { App } from '../../contract/contract.ts'
import { ServiceUnavailable } from '../../contract/errors.ts'
import { pinger } from './store.ts'

const schema = { hide: true }
/** Never refused: a process that answers is not to be restarted, nor one that is ready to be left out. */
const config = { unprepared: true, throttled: false } as const

/** For balancers and orchestrators: is the process there, and may it be sent requests. */
export function health(app: App) {
  const answers = pinger(app.db)
  app.get('/health/live', { schema, config }, () => ({
    status: 'live',
    ...buildInfo,
  }))
  app.get('/health/ready', { schema, config }, async () => {
    // Not stopping, migrated, and the database answers soon: it is away or overloaded otherwise.
    if (app.stopping.aborted || !app.preparation.done || !(await answers())) throw new ServiceUnavailable()
    return { status: 'ready', ...buildInfo }
  })
}
