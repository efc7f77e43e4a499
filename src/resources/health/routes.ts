import type { App } from '../../contract.ts'
import { ServiceUnavailable } from '../../errors.ts'
import { answers } from './store.ts'

const hide = { hide: true }

/** For balancers and orchestrators: is the process there, and may it be sent requests. */
export function health(app: App) {
  app.get('/health/live', { schema: hide }, () => ({ status: 'live' }))
  app.get('/health/ready', { schema: hide }, async () => {
    if (app.stopping.aborted) throw new ServiceUnavailable()
    if (!(await answers(app.db))) throw new ServiceUnavailable()
    return { status: 'ready' }
  })
}
