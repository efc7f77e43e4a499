import { Type } from '@sinclair/typebox'
import { Email, Message, operation } from '../../contract/contract.ts'
import { ServiceUnavailable } from '../../contract/errors.ts'

export const testEmail = operation({
  operationId: 'utils-test_email',
  summary: 'Send a test mail',
  description:
    'To see that mail works. It is queued like every other mail; 503 where mail is not configured.',
  querystring: Type.Object({ email_to: { ...Email, description: 'Where it goes.' } }),
  response: { 201: Message },
  errors: [ServiceUnavailable],
})
export const healthCheck = operation({
  operationId: 'utils-health_check',
  summary: 'Is the service up',
  description: 'Always `true`. For balancers there are `/health/live` and `/health/ready`.',
  response: { 200: Type.Boolean({ examples: [true] }) },
})
