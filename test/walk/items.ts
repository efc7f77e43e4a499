import { ECHO } from './check.ts'
import { pause, UNKNOWN_ID, type Row } from './context.ts'
import { bodyRules, fieldRules, guard, pageRules } from './probes.ts'
import { ids, itemPublic, itemsPublic } from './shapes.ts'
import { wrong } from './wrong.ts'

export const items: Row[] = [
  {
    operation: 'items-read_items',
    async walk(context) {
      const { api, cast, check } = context
      await guard(context, 'user', 'GET', `/items/?skip=${ECHO}`)
      const ada = await cast.person()
      const empty = await api('GET', '/items/', { as: ada })
      check.shape('nobody has items at first', empty, itemsPublic, { data: [], count: 0 })
      const made: string[] = []
      for (const title of ['one', 'two', 'three']) {
        made.unshift((await cast.item(ada, { title })).id)
        await pause()
      }
      const all = await api('GET', '/items', { as: ada })
      check.shape('all of one’s own', all, itemsPublic, { count: 3 })
      check.equal('newest first', ids(all.body), made)
      const page = await api('GET', '/items/?skip=1&limit=1', { as: ada })
      check.shape('the count is of all, whatever the page', page, itemsPublic, { count: 3 })
      check.equal('skip and limit', ids(page.body), [made[1]])
      const past = await api('GET', '/items/?skip=3', { as: ada })
      check.shape('nothing past the end', past, itemsPublic, { data: [], count: 3 })
      const bob = await api('GET', '/items/', { as: await cast.ordinary() })
      check.equal(
        "no item of another's",
        ids(bob.body).filter((id) => made.includes(String(id))),
        [],
      )
      const every = await api('GET', '/items/?limit=1000', { as: cast.admin })
      check.shape('a superuser’s list', every, itemsPublic)
      check.equal(
        'has all, newest first',
        ids(every.body).filter((id) => made.includes(String(id))),
        made,
      )
      await pageRules(context, '/items/', ada)
    },
  },
  {
    operation: 'items-create_item',
    async walk(context) {
      const { api, cast, check } = context
      const ada = await cast.ordinary()
      await guard(context, 'user', 'POST', '/items/', { json: { title: 5 } })
      const bare = await cast.item(ada)
      check.shape('with a title alone', bare.answer, itemPublic, {
        title: 'A thing',
        description: null,
        owner_id: ada.id,
      })
      const strangers = {
        id: UNKNOWN_ID,
        owner_id: cast.admin.id,
        created_at: '2000-01-01T00:00:00Z',
        [ECHO]: 1,
      }
      const full = (await cast.item(ada, { title: 'T', description: 'D', ...strangers })).answer
      check.shape('the owner is the caller', full, itemPublic, {
        title: 'T',
        description: 'D',
        owner_id: ada.id,
      })
      check.holds(
        'unknown fields are ignored',
        !full.text.includes(UNKNOWN_ID) && !full.text.includes('2000-01-01'),
        'own id and time',
        full,
      )
      const longest = { title: '🦊'.repeat(255), description: '🦊'.repeat(255) }
      check.shape('255 code points pass', (await cast.item(ada, longest)).answer, itemPublic, longest)
      const blank = { title: 'T', description: null }
      check.shape('a null description passes', (await cast.item(ada, blank)).answer, itemPublic, blank)
      const slashless = await api('POST', '/items', { as: ada, json: { title: 'T', description: '' } })
      check.shape('an empty description stays empty, not null', slashless, itemPublic, { description: '' })
      check.faults('422 without a title', await api('POST', '/items/', { as: ada, json: {} }), 'body.title')
      const both = await api('POST', '/items/', { as: ada, json: { title: '', description: 5 } })
      check.faults('all faults in one answer', both, 'body.description', 'body.title')
      const fields = { title: wrong.title, description: wrong.description }
      await fieldRules(context, { method: 'POST', path: '/items/', as: ada, right: { title: 'T' } }, fields)
      await bodyRules(context, 'POST', '/items/', ada)
    },
  },
  {
    operation: 'items-create_items',
    async walk(context) {
      const { api, cast, check } = context
      const ada = await cast.person()
      const batch = (data: unknown) => api('POST', '/items/batch', { as: ada, json: { data } })
      await guard(context, 'user', 'POST', '/items/batch', { json: { data: 5 } })
      const titles = ['one', 'two', 'three']
      const made = await batch(titles.map((title) => ({ title })))
      check.equal(
        'all of them, in their order',
        (made.body as { data?: { title: string }[] }).data?.map(({ title }) => title),
        titles,
      )
      check.faults(
        '422 at the place of a fault',
        await batch([{ title: 'four' }, { title: '' }]),
        'body.data.1.title',
      )
      check.faults('422 without a row', await batch([]), 'body.data')
      const all = await api('GET', '/items/', { as: ada })
      check.shape('and nothing of what was refused', all, itemsPublic, { count: 3 })
    },
  },
]
