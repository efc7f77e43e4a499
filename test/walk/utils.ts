import { ECHO } from './check.ts'
import type { Row } from './context.ts'
import { guard } from './probes.ts'

export const utils: Row[] = [
  {
    operation: 'utils-test_email',
    async walk(context) {
      const { api, cast, check } = context
      const path = '/utils/test-email/'
      await guard(context, 'superuser', 'POST', `${path}?email_to=${ECHO}`)
      const post = async (query: string, at = path) => api('POST', at + query, { as: cast.admin })
      const sent = await post(`?email_to=${cast.address()}`)
      if (sent.status === 503) {
        check.error('503 where mail is not configured', sent, 503, 'Service Unavailable')
        check.holds(
          'Retry-After in seconds',
          /^\d+$/.test(sent.headers['retry-after'] ?? ''),
          'a number',
          sent.headers['retry-after'],
        )
      } else {
        check.message('sent', sent, 'Test email sent', 201)
        check.message(
          'without the slash',
          await post(`?email_to=${cast.address()}`, '/utils/test-email'),
          'Test email sent',
          201,
        )
      }
      check.faults('422 without an address', await post(''), 'query.email_to')
      for (const value of [ECHO, '', `${ECHO}%00@example.com`, `${ECHO}@${'a'.repeat(250)}.example.com`])
        check.faults(`422 for ${value.slice(0, 40)}`, await post(`?email_to=${value}`), 'query.email_to')
    },
  },
  {
    operation: 'utils-health_check',
    async walk({ api, check }) {
      const path = '/utils/health-check'
      for (const at of [`${path}/`, path]) {
        const answer = await api('GET', at)
        check.equal(`true at ${at}`, [answer.status, answer.text], [200, 'true'])
      }
      check.status(
        'a garbage token does not matter',
        await api('GET', path, { as: { token: 'garbage' } }),
        200,
      )
    },
  },
]
