import type { App } from '../../contract/contract.ts'
import { ServiceUnavailable } from '../../contract/errors.ts'
import { probeLogging } from '../../http/observe/logger.ts'
import { healthCheck, testEmail } from './schemas.ts'

export function utilsPublic(app: App) {
  const probe = { schema: healthCheck, config: { probe: true }, ...probeLogging(app.config) } as const
  app.get('/utils/health-check/', probe, () => true)
}

export function utilsSuperuser(app: App) {
  app.post('/utils/test-email/', { schema: testEmail }, async (request, reply) => {
    if (!app.mail.enabled) throw new ServiceUnavailable()
    await app.mail.add('test', request.query.email_to)
    app.mail.wake()
    return reply.code(201).send({ message: 'Test email sent' })
  })
}
