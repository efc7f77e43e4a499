import { Type } from '@sinclair/typebox'
import {
  Id,
  IdempotencyKey,
  IfMatch,
  IfNoneMatch,
  NullableText,
  listQuery,
  Text,
  Time,
  component,
  operation,
  pageOf,
  Message,
} from '../../contract/contract.ts'
import {
  ItemNotFound,
  NotEnoughPermissions,
  PreconditionFailed,
  RowQuotaReached,
} from '../../contract/errors.ts'

const title = Text(255, 1, { examples: ['Analytical Engine'] })
const description = NullableText(255, { examples: ['Notes on the engine'] })

export const ItemPublic = component(
  'ItemPublic',
  Type.Object({ id: Id, title, description, owner_id: Id, created_at: Time }),
)
export const ItemsPublic = component('ItemsPublic', pageOf(ItemPublic))
export const ItemCreate = component(
  'ItemCreate',
  Type.Object({ title, description: Type.Optional(description) }),
)
export const ItemUpdate = component('ItemUpdate', Type.Partial(Type.Object({ title, description })))

const params = Type.Object({ id: { ...Id, description: 'Which item.' } })
const errors = [ItemNotFound, NotEnoughPermissions]
const errorsOfWrites = [...errors, PreconditionFailed]

export const readItems = operation({
  operationId: 'items-read_items',
  summary: 'List items',
  description: "One's own items, newest first where not asked for otherwise. Superusers see everybody's.",
  querystring: listQuery('title or description', ['created_at', 'title']),
  response: { 200: ItemsPublic },
})
export const createItem = operation({
  operationId: 'items-create_item',
  summary: 'Create an item',
  description: 'It belongs to whoever creates it.',
  headers: IdempotencyKey,
  body: ItemCreate,
  response: { 200: ItemPublic },
  versioned: true,
  errors: [RowQuotaReached],
})
export const readItem = operation({
  operationId: 'items-read_item',
  summary: 'Read an item',
  description: "One's own, or for superusers any.",
  params,
  headers: IfNoneMatch,
  response: { 200: ItemPublic },
  versioned: true,
  errors,
})
export const updateItem = operation({
  operationId: 'items-update_item',
  summary: 'Change an item',
  description: 'Fields that are not sent stay as they are.',
  params,
  headers: IfMatch,
  body: ItemUpdate,
  response: { 200: ItemPublic },
  versioned: true,
  errors: errorsOfWrites,
})
export const deleteItem = operation({
  operationId: 'items-delete_item',
  summary: 'Delete an item',
  description: 'For good.',
  params,
  headers: IfMatch,
  response: { 200: Message },
  errors: errorsOfWrites,
})
