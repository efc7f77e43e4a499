import { UNKNOWN_ID, type Row } from './context.ts'
import { guard, pageRules } from './probes.ts'
import { isMap, rows } from './shapes.ts'

/** The outbox, as superusers see it. */
export const mails: Row[] = [
  {
    operation: 'mails-read_mails',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'GET', '/mails/', {})
      await pageRules(context, '/mails/', cast.admin)
      const ada = await cast.person()
      const list = await api('GET', '/mails/?limit=1000', { as: cast.admin })
      const welcome = rows(list.body).find(({ recipient }) => recipient === ada.email)
      check.equal('a mail to whoever was made', welcome?.message, 'welcome')
      check.holds('no secret', !/token|password":/.test(list.text), 'neither token nor link', 'one')
    },
  },
  {
    operation: 'mails-read_mail',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'superuser', 'GET', `/mails/${UNKNOWN_ID}`)
      const [first] = rows((await api('GET', '/mails/?limit=1', { as: cast.admin })).body)
      const one = await api('GET', `/mails/${String(first?.id)}`, { as: cast.admin })
      check.equal('one mail', isMap(one.body) && one.body.id, first?.id)
      const unknown = await api('GET', `/mails/${UNKNOWN_ID}`, { as: cast.admin })
      check.error('404', unknown, 404, 'Mail not found')
    },
  },
  {
    operation: 'mails-retry_mail',
    async walk(context) {
      const { api, cast, check } = context
      const path = `/mails/${UNKNOWN_ID}/retry`
      await guard(context, 'superuser', 'POST', path)
      check.error('404', await api('POST', path, { as: cast.admin }), 404, 'Mail not found')
    },
  },
]
