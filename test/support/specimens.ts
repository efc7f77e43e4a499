import { Type } from '@sinclair/typebox'
import { sql } from 'drizzle-orm'
import { varchar } from 'drizzle-orm/pg-core'
import type { Test } from 'tap'
import { users } from '../../src/database/tables.ts'
import type { Dependencies } from '../../src/app.ts'
import {
  column,
  day,
  decimal,
  email,
  flag,
  int,
  json,
  list,
  oneOf,
  optional,
  reference,
  text,
  time,
  url,
  uuid,
} from '../../src/ownership/fields.ts'
import { ownedTable } from '../../src/ownership/owned-table.ts'
import { resource } from '../../src/ownership/resource.ts'
import { freshDatabase } from './database.ts'
import { type Person, type Service, startService } from './service.ts'
import { createTables } from './tables.ts'

/** Resources of tests alone, which have all that a declaration can say. */

export const drawers = ownedTable('drawers', { title: text(100) })

export const STATES = ['open', 'done', "won't do", 'null'] as const
const Shape = Type.Object({ sides: Type.Integer({ minimum: 3 }), name: Type.Optional(Type.String()) })
const Nick = Type.String({ maxLength: 20 })

/** Every kind of field, required and optional: named by its kind. */
export const specimens = ownedTable(
  'specimens',
  {
    text: text(40, { min: 1 }),
    text_or_null: optional(text(40, { min: 1 })),
    int: int({ min: -10, max: 1000 }),
    int_or_null: optional(int({ min: -10, max: 1000 })),
    decimal: decimal(12, 4),
    decimal_or_null: optional(decimal(12, 4)),
    flag: flag(),
    flag_or_null: optional(flag()),
    time: time(),
    time_or_null: optional(time()),
    day: day(),
    day_or_null: optional(day()),
    one_of: oneOf(STATES),
    one_of_or_null: optional(oneOf(STATES)),
    texts: list(text(20), { max: 5 }),
    texts_or_null: optional(list(text(20), { max: 5 })),
    choices: list(oneOf(STATES)),
    choices_or_null: optional(list(oneOf(STATES))),
    json: json(Shape),
    json_or_null: optional(json(Shape)),
    uuid: uuid(),
    uuid_or_null: optional(uuid()),
    email: email(),
    email_or_null: optional(email()),
    url: url(),
    url_or_null: optional(url()),
    drawer_id: reference(() => drawers),
    drawer_id_or_null: optional(reference(() => drawers, { onDelete: 'set null' })),
    // Names that could be meant for others, and a column that is named otherwise.
    x: optional(text(10)),
    x_sent: optional(text(10)),
    nick: optional(column(Nick, () => varchar('the_nick', { length: 20 }))),
    code: optional(text(10)),
  },
  {
    search: ['text', 'text_or_null'],
    sort: [
      ...(['text', 'int', 'decimal', 'flag', 'time', 'day', 'one_of', 'uuid', 'email', 'url'] as const),
      ...(['text_or_null', 'int_or_null', 'decimal_or_null', 'flag_or_null', 'time_or_null'] as const),
      ...(['day_or_null', 'one_of_or_null', 'uuid_or_null', 'email_or_null', 'url_or_null'] as const),
      ...(['drawer_id', 'drawer_id_or_null', 'nick'] as const),
    ],
    filter: [
      ...(['text', 'int', 'decimal', 'flag', 'time', 'day', 'one_of', 'uuid', 'email'] as const),
      ...(['text_or_null', 'int_or_null', 'decimal_or_null', 'flag_or_null', 'time_or_null'] as const),
      ...(['day_or_null', 'one_of_or_null', 'uuid_or_null', 'email_or_null'] as const),
      ...(['drawer_id', 'drawer_id_or_null'] as const),
    ],
    unique: ['code'],
  },
)

/** Every kind with a default. */
export const DEFAULTS = {
  text: "it's",
  int: 7,
  decimal: '-0.5000',
  flag: true,
  time: '2026-01-02T03:04:05.678Z',
  day: '2026-01-02',
  one_of: "won't do",
  texts: ['a', 'b, c'],
  choices: ['done'],
  json: { sides: 4, name: 'square' },
  uuid: '00000000-0000-4000-8000-000000000001',
  email: 'ada@example.com',
  url: 'https://example.com/?a=1',
} as const

export const fallbacks = ownedTable('fallbacks', {
  text: text(40, { default: DEFAULTS.text }),
  text_or_null: optional(text(40, { default: DEFAULTS.text })),
  int: int({ default: DEFAULTS.int }),
  int_or_null: optional(int({ default: DEFAULTS.int })),
  decimal: decimal(12, 4, { default: DEFAULTS.decimal }),
  decimal_or_null: optional(decimal(12, 4, { default: DEFAULTS.decimal })),
  flag: flag({ default: DEFAULTS.flag }),
  flag_or_null: optional(flag({ default: DEFAULTS.flag })),
  time: time({ default: DEFAULTS.time }),
  time_or_null: optional(time({ default: DEFAULTS.time })),
  day: day({ default: DEFAULTS.day }),
  day_or_null: optional(day({ default: DEFAULTS.day })),
  one_of: oneOf(STATES, { default: DEFAULTS.one_of }),
  one_of_or_null: optional(oneOf(STATES, { default: DEFAULTS.one_of })),
  texts: list(text(20), { default: [...DEFAULTS.texts] }),
  texts_or_null: optional(list(text(20), { default: [...DEFAULTS.texts] })),
  choices: list(oneOf(STATES), { default: [...DEFAULTS.choices] }),
  choices_or_null: optional(list(oneOf(STATES), { default: [...DEFAULTS.choices] })),
  json: json(Shape, { default: DEFAULTS.json }),
  json_or_null: optional(json(Shape, { default: DEFAULTS.json })),
  uuid: uuid({ default: DEFAULTS.uuid }),
  uuid_or_null: optional(uuid({ default: DEFAULTS.uuid })),
  email: email({ default: DEFAULTS.email }),
  email_or_null: optional(email({ default: DEFAULTS.email })),
  url: url({ default: DEFAULTS.url }),
  url_or_null: optional(url({ default: DEFAULTS.url })),
})

/** Lists of every kind, and JSON of every shape. */
export const assortments = ownedTable('assortments', {
  texts: optional(list(text(20))),
  ints: optional(list(int({ min: -10, max: 1000 }))),
  decimals: optional(list(decimal(12, 4))),
  flags: optional(list(flag())),
  times: optional(list(time())),
  days: optional(list(day())),
  choices: optional(list(oneOf(STATES))),
  uuids: optional(list(uuid())),
  emails: optional(list(email())),
  urls: optional(list(url())),
  shapes: optional(list(json(Shape))),
  counts: optional(json(Type.Record(Type.String(), Type.Integer()))),
  anything: optional(json(Type.Unknown())),
  words: optional(json(Type.String())),
  numbers: optional(json(Type.Array(Type.Number()))),
})

/** A specimen can't be deleted as long as it is lent. */
export const borrowings = ownedTable('borrowings', {
  specimen_id: reference(() => specimens, { onDelete: 'restrict' }),
})

/** Shared with its companions, to be read. */
export const expeditions = ownedTable(
  'expeditions',
  { title: text(100) },
  {
    sort: ['title'],
    readers: (expedition, asker) =>
      sql`exists (select from companions where companions.expedition_id = ${expedition.id} and companions.user_id = ${asker})`,
  },
)

export const companions = ownedTable('companions', {
  expedition_id: reference(() => expeditions),
  user_id: reference(() => users),
})

/** Shared with its assignee, who may say that it is done. */
export const chores = ownedTable(
  'chores',
  {
    title: text(100, { min: 1 }),
    done: flag({ default: false }),
    expedition_id: optional(reference(() => expeditions)),
    parent_id: optional(reference((): object => chores, { onDelete: 'restrict' })),
    blocker_id: optional(reference((): object => chores, { onDelete: 'set null' })),
    assignee_id: optional(reference(() => users, { onDelete: 'set null' })),
    code: optional(text(20)),
  },
  {
    sort: ['title'],
    search: ['title'],
    filter: ['expedition_id', 'done', 'assignee_id'],
    changers: 'assignee_id',
    changeable: ['done'],
    unique: ['code'],
  },
)

/** Shared with its recipient, to be read. */
export const telegrams = ownedTable(
  'telegrams',
  { text: text(100), recipient_id: optional(reference(() => users, { onDelete: 'set null' })) },
  { sort: ['text'], filter: ['text'], readers: 'recipient_id' },
)

const description = 'Only for tests.'
export const specimenRoutes = [
  resource(drawers, { description }),
  resource(specimens, { description, under: ['drawer_id'] }),
  resource(fallbacks, { description }),
  resource(assortments, { description }),
  resource(borrowings, { description }),
  resource(expeditions, { description }),
  resource(companions, { description }),
  resource(chores, { description, under: ['expedition_id'] }),
  resource(telegrams, { description }),
]

export const tables = {
  drawers,
  specimens,
  fallbacks,
  assortments,
  borrowings,
  expeditions,
  companions,
  chores,
  telegrams,
}

/** The service with these resources, on a database of its own. */
export async function startWithSpecimens(
  t: Test,
  env: Record<string, string> = {},
  others: NonNullable<Dependencies['resources']> = [],
): Promise<Service> {
  const connection = await freshDatabase()
  await createTables(connection.db, tables)
  return startService(t, env, { connection, resources: [...specimenRoutes, ...others] })
}

/** What a specimen must have, beside its drawer. */
export const SPECIMEN = {
  text: 'Beetle',
  int: 3,
  decimal: '12.5000',
  flag: false,
  time: '2026-11-23T10:15:00.000Z',
  day: '2026-11-23',
  one_of: 'open',
  texts: ['a'],
  choices: ['done'],
  json: { sides: 3 },
  uuid: '00000000-0000-4000-8000-00000000000a',
  email: 'ada@example.com',
  url: 'https://example.com/',
} as const

/** What it is without its other fields. */
export const NULLS = {
  ...Object.fromEntries(Object.keys(SPECIMEN).map((kind) => [`${kind}_or_null`, null])),
  drawer_id_or_null: null,
  x: null,
  x_sent: null,
  nick: null,
  code: null,
}

/** Creates a row. @returns it */
export async function created<Row = Record<string, unknown> & { id: string }>(
  { call }: Service,
  path: string,
  as: Person,
  body: object,
): Promise<Row> {
  const answer = await call('POST', path, { as, body })
  if (answer.status !== 200) throw new Error(`POST ${path} is ${answer.status}: ${answer.text}`)
  return answer.body as Row
}
