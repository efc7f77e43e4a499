import { Type } from '@sinclair/typebox'
import { type App, Email, Message, operation } from '../contract/contract.ts'
import { ServiceUnavailable } from '../contract/errors.ts'
import { probeLogging } from '../http/observe/logger.ts'

/** Is it up, and does mail work. */

const testEmail = operation({
  operationId: 'utils-test_email',
  summary: 'Send a test mail',
  description:
    'To see that mail works. It is queued like every other mail; 503 where mail is not configured.',
  querystring: Type.Object({ email_to: { ...Email, description: 'Where it goes.' } }),
  response: { 201: Message },
  errors: [ServiceUnavailable],
})
const healthCheck = operation({
  operationId: 'utils-health_check',
  summary: 'Is the service up',
  description: 'Always `true`. For balancers there are `/health/live` and `/health/ready`.',
  response: { 200: Type.Boolean({ examples: [true] }) },
})

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
