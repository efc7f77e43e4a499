import type { SignedInApp } from '../../contract/contract.ts'
import { items } from '../../database/tables.ts'
import { createItem, deleteItem, readItem, readItems, updateItem } from './schemas.ts'

/** A resource that belongs to its owner: copy this folder for your own. */
export function itemRoutes(app: SignedInApp) {
  app.get('/items/', { schema: readItems }, (request) => request.owned(items).page(request.query))
  app.post('/items/', { schema: createItem }, (request) => request.owned(items).create(request.body))
  app.get('/items/:id', { schema: readItem }, (request) => request.owned(items).get(request.params.id))
  app.put('/items/:id', { schema: updateItem }, (request) =>
    request.owned(items).update(request.params.id, request.body),
  )
  app.delete('/items/:id', { schema: deleteItem }, async (request) => {
    await request.owned(items).delete(request.params.id)
    return { message: 'Item deleted successfully' }
  })
}
