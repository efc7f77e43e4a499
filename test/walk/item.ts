import { ECHO } from './check.ts'
import { UNKNOWN_ID, type Context, type Row } from './context.ts'
import { bodyRules, fieldRules, guard } from './probes.ts'
import { itemPublic } from './shapes.ts'
import { wrong } from './wrong.ts'

/** What all three routes of one item say to others' items, unknown ids and ids that are none. */
async function itemErrors(context: Context, method: string, json?: Record<string, unknown>) {
  const { api, cast, check } = context
  const [ada, bob] = [await cast.person(), await cast.ordinary()]
  const { id } = await cast.item(ada)
  const call = json ? { json } : {}
  await guard(context, 'user', method, `/items/${ECHO}`, json ? { json: { title: 5 } } : {})
  check.error(
    '404 for an unknown id',
    await api(method, `/items/${UNKNOWN_ID}`, { as: ada, ...call }),
    404,
    'Item not found',
  )
  const foreign = await api(method, `/items/${id}`, { as: bob, ...call })
  check.error("403 for another's item", foreign, 403, 'Not enough permissions')
  check.faults(
    '422 for an id that is none',
    await api(method, `/items/${ECHO}`, { as: ada, ...call }),
    'path.id',
  )
  const long = await api(method, `/items/${ECHO}${'a'.repeat(300)}`, { as: ada, ...call })
  check.faults('422 for an id of 300 characters', long, 'path.id')
  check.faults(
    '422 for U+0000 in the id',
    await api(method, `/items/${ECHO}%00`, { as: ada, ...call }),
    'path.id',
  )
  const untouched = await api('GET', `/items/${id}`, { as: ada })
  check.shape('the item is as it was', untouched, itemPublic, { title: 'A thing', description: null })
  return { ada, bob, id }
}

/** The routes of the items tag that take one item's id. */
export const item: Row[] = [
  {
    operation: 'items-read_item',
    async walk(context) {
      const { api, cast, check } = context
      const { ada, id } = await itemErrors(context, 'GET')
      check.shape('one’s own', await api('GET', `/items/${id}`, { as: ada }), itemPublic, {
        id,
        owner_id: ada.id,
      })
      check.shape('any for a superuser', await api('GET', `/items/${id}/`, { as: cast.admin }), itemPublic, {
        id,
      })
    },
  },
  {
    operation: 'items-update_item',
    async walk(context) {
      const { api, cast, check } = context
      const { ada, bob, id } = await itemErrors(context, 'PUT', { title: 'Taken over' })
      const path = `/items/${id}`
      const put = async (json: unknown) => api('PUT', path, { as: ada, json })
      check.shape('a description alone', await put({ description: 'D' }), itemPublic, {
        id,
        title: 'A thing',
        description: 'D',
      })
      check.shape('a title alone', await put({ title: 'T' }), itemPublic, { title: 'T', description: 'D' })
      check.shape('nothing', await put({}), itemPublic, { title: 'T', description: 'D' })
      const strangers = { owner_id: bob.id, id: UNKNOWN_ID, [ECHO]: 1 }
      check.shape('unknown fields are ignored', await put(strangers), itemPublic, {
        id,
        owner_id: ada.id,
        title: 'T',
      })
      check.shape('null clears the description', await put({ description: null }), itemPublic, {
        title: 'T',
        description: null,
      })
      const others = await api('PUT', path, { as: cast.admin, json: { title: 'S' } })
      check.shape('any for a superuser, and the owner stays', others, itemPublic, {
        title: 'S',
        owner_id: ada.id,
      })
      const faulty = { as: bob, json: { title: '' } }
      check.faults("422 comes before 403 of another's", await api('PUT', path, faulty), 'body.title')
      check.faults('422 comes before 404', await api('PUT', `/items/${UNKNOWN_ID}`, faulty), 'body.title')
      const fields = { title: wrong.title, description: wrong.description }
      await fieldRules(context, { method: 'PUT', path, as: ada, right: {} }, fields)
      await bodyRules(context, 'PUT', path, ada, true)
    },
  },
  {
    operation: 'items-delete_item',
    async walk(context) {
      const { api, cast, check } = context
      const { ada, id } = await itemErrors(context, 'DELETE')
      const call = { as: ada, type: 'application/json', body: '' }
      check.message(
        'one’s own, under an empty JSON body',
        await api('DELETE', `/items/${id}`, call),
        'Item deleted successfully',
      )
      check.error('gone', await api('GET', `/items/${id}`, { as: ada }), 404, 'Item not found')
      check.error(
        '404 the second time',
        await api('DELETE', `/items/${id}`, { as: ada }),
        404,
        'Item not found',
      )
      const second = await cast.item(ada)
      const others = await api('DELETE', `/items/${second.id}/`, { as: cast.admin })
      check.message('any for a superuser', others, 'Item deleted successfully')
    },
  },
]
