import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { type Test, test } from 'tap'
import { statements } from '../../../src/database/statement.ts'
import { ownedRows } from '../../../src/ownership/owned.ts'
import { type Given, condition } from '../../../src/ownership/list/selection.ts'
import { isAnswer, isRefused } from '../../support/answers.ts'
import { openDoor } from '../../support/door.ts'
import type { Person } from '../../support/service.ts'
import { SPECIMEN, created, drawers, specimens, startWithSpecimens, chores } from '../../support/specimens.ts'

const titled = condition(
  drawers,
  'titled',
  (drawer, v: Given<{ title: string }>) => sql`${drawer.title} = ${v.title}`,
)
const either = condition(
  drawers,
  'either',
  (drawer, v: Given<{ one: string; other: string }>) =>
    sql`${drawer.title} = ${v.one} or ${drawer.title} = ${v.other}`,
)
const flagged = condition(specimens, 'flagged', (specimen) => sql`${specimen.flag}`)
const dear = condition(
  specimens,
  'dear',
  (specimen, v: Given<{ from: string }>) => sql`${specimen.decimal} >= ${v.from}::numeric`,
)
const undone = condition(chores, 'undone', (chore) => sql`not ${chore.done}`)

const door = openDoor()
/** A service with a limit of rows, and people. */
async function start(t: Test, env: Record<string, string> = {}) {
  const service = await startWithSpecimens(t, env, [door.routes])
  const [owner, other] = [await service.person(), await service.person()]
  const pass = <T>(as: Person, work: Parameters<typeof door.pass<T>>[2]) => door.pass(service, as, work)
  const drawersOf = ({ id }: Person) =>
    service.rows<{ title: string }>(sql`select title from drawers where owner_id = ${id} order by title`)
  return { service, owner, other, pass, drawersOf }
}

void test('the statements of a condition are compiled with those of its table, and npm run sql prints them', async (t) => {
  const { app } = await startWithSpecimens(t)
  ownedRows(app.db, specimens)
  for (const whose of ['own', 'all'])
    t.match(statements.get(`count of ${whose} flagged specimens id`)?.text, /"flag"/)
})

void test('parts of a table by a condition', async (t) => {
  const { service, owner, other, pass } = await start(t)
  const { admin } = service
  const drawer = await created(service, '/drawers/', owner, { title: 'Top' })
  const theirs = await created(service, '/drawers/', other, { title: 'Top' })
  const rows = [
    { decimal: '0.1000', flag: true, int: 5, time: '2026-01-02T00:00:00Z', day: '2026-01-02' },
    { decimal: '0.2000', flag: true, int: -3, time: '2026-01-03T00:00:00Z', day: '2026-01-03' },
    { decimal: '99999999.9999', flag: false, int: 1000, time: '2026-01-01T00:00:00Z', day: '2026-01-01' },
  ]
  for (const row of rows)
    await created(service, '/specimens/', owner, { ...SPECIMEN, drawer_id: drawer.id, ...row })
  await created(service, '/specimens/', other, {
    ...SPECIMEN,
    drawer_id: theirs.id,
    flag: true,
    decimal: '5',
  })

  await t.test("a condition's page, count and numbers are of one's own rows", async (t) => {
    const { result } = await pass(owner, async (request) => {
      const part = request.owned(specimens).where(flagged)
      const { data, count } = await part.page({ limit: 10, sort: 'int' })
      return {
        page: [count, ...data.map(({ int }) => int)],
        count: await part.count(),
        sum: await part.sum('int'),
        exact: await part.sum('decimal'),
        min: await part.min('int'),
        max: await part.max('decimal'),
      }
    })
    t.strictSame(result, { page: [2, -3, 5], count: 2, sum: '2', exact: '0.3000', min: '-3', max: '0.2000' })
  })

  await t.test('numbers of the whole table', async (t) => {
    const { result } = await pass(owner, async (request) => {
      const all = request.owned(specimens)
      return [
        await all.count(),
        await all.sum('decimal'),
        await all.max('decimal'),
        await all.min('day'),
        await all.max('text'),
        new Date((await all.max('time'))!).toISOString(),
      ]
    })
    t.strictSame(result, [
      3,
      '100000000.2999',
      '99999999.9999',
      '2026-01-01',
      'Beetle',
      '2026-01-03T00:00:00.000Z',
    ])
  })

  await t.test("superusers' are of everybody's, but for deleted users'", async (t) => {
    const gone = await service.person()
    const last = await created(service, '/drawers/', gone, { title: 'x' })
    await created(service, '/specimens/', gone, { ...SPECIMEN, drawer_id: last.id, flag: true, decimal: '7' })
    await service.rows(sql`update users set deleted_at = now() where id = ${gone.id}`)
    const { result } = await pass(admin, async (request) => {
      const part = request.owned(specimens).where(flagged)
      return [
        await part.count(),
        await part.sum('decimal'),
        await part.max('decimal'),
        (await part.page({ limit: 10 })).count,
      ]
    })
    t.strictSame(result, [3, '5.3000', '5.0000', 3])
  })

  await t.test('of no rows, a sum is 0, and there is no smallest or largest', async (t) => {
    const { result } = await pass(other, async (request) => {
      const part = request.owned(specimens).where(dear, { from: '1000' })
      return [
        await part.count(),
        await part.sum('decimal'),
        await part.min('int'),
        await part.max('time'),
        await part.page({ limit: 5 }),
      ]
    })
    t.strictSame(result, [0, '0', null, null, { data: [], count: 0, next_cursor: null }])
  })

  await t.test('a condition goes with search, order and cursor', async (t) => {
    const { result } = await pass(owner, async (request) => {
      const part = request.owned(specimens).where(dear, { from: '0.15' })
      const first = await part.page({ limit: 1, sort: '-int', q: 'BEETLE' })
      const next = await part.page({ limit: 1, sort: '-int', q: 'BEETLE', cursor: first.next_cursor! })
      return [first.count, first.data[0]?.int, next.data[0]?.int, next.next_cursor]
    })
    t.strictSame(result, [2, 1000, -3, null])
  })

  await t.test('a condition narrows what one may read, and never widens it', async (t) => {
    const { result } = await pass(other, async (request) => {
      const part = request.owned(drawers).where(either, { one: 'Top', other: 'x' })
      return [await part.count(), (await part.page({ limit: 10 })).data.map(({ owner_id }) => owner_id)]
    })
    t.strictSame(result, [1, [other.id]], 'an "or" in it stays within')
  })

  await t.test('values of a condition are no SQL', async (t) => {
    for (const title of ["' or true --", "'); drop table drawers; --", '$1', '" or 1=1', 'null', '\\', '%']) {
      const { result } = await pass(owner, (request) =>
        request.owned(drawers).where(titled, { title }).count(),
      )
      t.equal(result, 0, title)
      await created(service, '/drawers/', owner, { title })
      const found = await pass(
        owner,
        async (request) => (await request.owned(drawers).where(titled, { title }).page({ limit: 9 })).data,
      )
      t.same(
        found.result.map((row) => row.title),
        [title],
      )
    }
  })

  await t.test('a shared row is part of it', async (t) => {
    await created(service, '/chores/', other, { title: 'x', assignee_id: owner.id })
    const { result } = await pass(owner, (request) => request.owned(chores).where(undone).count())
    t.equal(result, 1)
  })

  await t.test("another table's condition is a TypeError", async (t) => {
    const { answer } = await pass(owner, async (request) => {
      t.throws(() => request.owned(chores).where(flagged as never), TypeError)
    })
    t.equal(answer.status, 200)
  })

  await t.test('a condition without its values is a TypeError', async (t) => {
    await pass(owner, async (request) => {
      await t.rejects(
        request
          .owned(drawers)
          .where(titled, {} as never)
          .count(),
        TypeError,
      )
    })
  })
})

void test('transactions', async (t) => {
  const { service, owner, other, pass, drawersOf } = await start(t, { MAX_ROWS_PER_USER: '20' })
  const { app } = service
  const titles = async (person: Person) => (await drawersOf(person)).map(({ title }) => title)

  await t.test('rows of a transaction are all kept', async (t) => {
    const { answer } = await pass(owner, (request) =>
      app.db.transaction(async (transaction) => {
        await request.owned(drawers, transaction).create({ title: 'a' })
        await request.owned(drawers, transaction).createAll([{ title: 'b' }, { title: 'c' }])
      }),
    )
    t.equal(answer.status, 200)
    t.same(await titles(owner), ['a', 'b', 'c'])
  })

  await t.test(
    'rows of a transaction that throws are not kept, and what it throws is answered',
    async (t) => {
      const one = await service.person()
      const kept = await created(service, '/drawers/', one, { title: 'kept' })
      const { answer } = await pass(one, (request) =>
        app.db.transaction(async (transaction) => {
          const rows = request.owned(drawers, transaction)
          await rows.create({ title: 'a' })
          await rows.update(kept.id, { title: 'changed' })
          await rows.get(randomUUID())
        }),
      )
      isAnswer(t, answer, 404, 'Drawer not found')
      t.same(await titles(one), ['kept'])
    },
  )

  await t.test('a row of a transaction is read, changed and deleted in it', async (t) => {
    const one = await service.person()
    const { result } = await pass(one, (request) =>
      app.db.transaction(async (transaction) => {
        const rows = request.owned(drawers, transaction)
        const { id } = await rows.create({ title: 'a' })
        await rows.create({ title: 'b' })
        await rows.update(id, { title: 'changed' })
        const read = await rows.get(id)
        await rows.delete(id)
        return [read.title, await rows.count(), await rows.where(titled, { title: 'b' }).count()]
      }),
    )
    t.strictSame(result, ['changed', 1, 1])
    t.same(await titles(one), ['b'])
  })

  await t.test('a row may refer to one of the same transaction', async (t) => {
    const one = await service.person()
    const { answer, result } = await pass(one, (request) =>
      app.db.transaction(async (transaction) => {
        const drawer = await request.owned(drawers, transaction).create({ title: 'a' })
        const specimen = await request
          .owned(specimens, transaction)
          .create({ ...body(), drawer_id: drawer.id })
        const [batch] = await request
          .owned(specimens, transaction)
          .createAll([{ ...body(), drawer_id: drawer.id }])
        return [drawer.id, specimen.drawer_id, batch!.drawer_id]
      }),
    )
    t.equal(answer.status, 200, answer.text)
    t.equal(new Set(result).size, 1)
  })

  await t.test("in a transaction others' rows are as far away", async (t) => {
    const theirs = await created(service, '/drawers/', other, { title: 'theirs' })
    const within = <T>(work: (rows: ReturnType<typeof ownedOf>) => Promise<T>) =>
      pass(owner, (request) => app.db.transaction((transaction) => work(ownedOf(request, transaction))))
    const ownedOf = (
      request: Parameters<Parameters<typeof pass>[1]>[0],
      transaction: Parameters<Parameters<typeof app.db.transaction>[0]>[0],
    ) => ({ drawers: request.owned(drawers, transaction), specimens: request.owned(specimens, transaction) })
    for (const work of [
      (rows: ReturnType<typeof ownedOf>) => rows.drawers.get(theirs.id),
      (rows: ReturnType<typeof ownedOf>) => rows.drawers.update(theirs.id, { title: 'x' }),
      (rows: ReturnType<typeof ownedOf>) => rows.drawers.delete(theirs.id),
    ])
      isAnswer(t, (await within<unknown>(work)).answer, 403, 'Not enough permissions')
    const refer = await within((rows) => rows.specimens.create({ ...body(), drawer_id: theirs.id }))
    isRefused(t, refer.answer, ['body.drawer_id'])
    t.same(await titles(other), ['theirs'])
  })

  await t.test('the quota counts the rows of a transaction', async (t) => {
    const one = await service.person()
    const createMany = (many: number) =>
      pass(one, (request) =>
        app.db.transaction(async (transaction) => {
          for (let n = 0; n < many; n++) await request.owned(drawers, transaction).create({ title: 'x' })
        }),
      )
    isAnswer(t, (await createMany(21)).answer, 403, 'The limit of rows for one user is reached')
    t.equal((await titles(one)).length, 0)
    t.equal((await createMany(20)).answer.status, 200)
    t.equal((await titles(one)).length, 20)
    isAnswer(t, (await createMany(1)).answer, 403, 'The limit of rows for one user is reached')
    const all = await pass(one, (request) =>
      app.db.transaction((transaction) => request.owned(drawers, transaction).createAll([{ title: 'x' }])),
    )
    isAnswer(t, all.answer, 403, 'The limit of rows for one user is reached')
  })

  await t.test('a nested transaction is rolled back alone', async (t) => {
    const one = await service.person()
    await pass(one, (request) =>
      app.db.transaction(async (outer) => {
        await request.owned(drawers, outer).create({ title: 'outer' })
        await t.rejects(
          outer.transaction(async (inner) => {
            await request.owned(drawers, inner).create({ title: 'lost' })
            throw new Error('within')
          }),
          { message: 'within' },
        )
        await outer.transaction((inner) => request.owned(drawers, inner).create({ title: 'inner' }))
      }),
    )
    t.same(await titles(one), ['inner', 'outer'])
  })

  await t.test('one that is nested twice is rolled back to where it began', async (t) => {
    const one = await service.person()
    await pass(one, (request) =>
      app.db.transaction(async (outer) => {
        await request.owned(drawers, outer).create({ title: 'outer' })
        await t.rejects(
          outer.transaction(async (middle) => {
            await request.owned(drawers, middle).create({ title: 'middle' })
            await t.rejects(
              middle.transaction(async (inner) => {
                await request.owned(drawers, inner).create({ title: 'inner' })
                throw new Error('innermost')
              }),
              { message: 'innermost' },
            )
            throw new Error('middle')
          }),
          { message: 'middle' },
        )
      }),
    )
    t.same(await titles(one), ['outer'])
  })

  await t.test('a refused statement in a nested transaction leaves the outer one good', async (t) => {
    const one = await service.person()
    const { answer } = await pass(one, (request) =>
      app.db.transaction(async (outer) => {
        const drawer = await request.owned(drawers, outer).create({ title: 'outer' })
        await t.rejects(
          outer.transaction((inner) =>
            request.owned(specimens, inner).create({ ...body(), drawer_id: randomUUID() }),
          ),
          { message: 'Value refers to nothing that is there' },
        )
        await request.owned(specimens, outer).create({ ...body(), drawer_id: drawer.id })
      }),
    )
    t.equal(answer.status, 200, answer.text)
    t.same(await titles(one), ['outer'])
  })

  await t.test('a repeated creation with a key makes one row in transactions, too', async (t) => {
    const one = await service.person()
    const create = () =>
      door.pass(service, one, async (request) => {
        request.headers['idempotency-key'] = 'once'
        return app.db.transaction((transaction) => request.owned(drawers, transaction).create({ title: 'x' }))
      })
    const [first, second] = [await create(), await create()]
    t.strictSame(first.result, second.result)
    t.same(await titles(one), ['x'])
  })
})

void test('nothing in a transaction waits for its end', async (t) => {
  const { service, owner, pass } = await start(t, { RATE_LIMIT_ENABLED: 'true' })
  const { db } = service.app
  const drawer = await created(service, '/drawers/', owner, { title: 'x' })

  await t.test('a page', async (t) => {
    const { result } = await pass(owner, (request) =>
      db.transaction(async (transaction) => {
        const { count } = await inTime(request.owned(drawers, transaction).page({ limit: 5 }))
        return count
      }),
    )
    t.equal(result, 1)
  })

  await t.test('a creation with a key', async (t) => {
    const { answer } = await pass(owner, (request) => {
      request.headers['idempotency-key'] = 'once'
      return db.transaction((transaction) =>
        inTime(request.owned(drawers, transaction).create({ title: 'x' })),
      )
    })
    t.equal(answer.status, 200, answer.text)
  })

  await t.test('a value that the database refuses', async (t) => {
    const { answer } = await pass(owner, (request) =>
      db.transaction((transaction) =>
        inTime(
          request
            .owned(specimens, transaction)
            .create({ ...body(), drawer_id: drawer.id, time: '9999-12-31T23:59:59-05:00' }),
        ),
      ),
    )
    isRefused(t, answer, ['body.time'])
  })
})

/** What waits for the end of its own transaction is given up, so that the transaction ends. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const timer = new AbortController()
  const late = pause(8_000, undefined, { signal: timer.signal }).then(() => {
    throw new Error('It waits for its own transaction')
  })
  try {
    return await Promise.race([work, late])
  } finally {
    timer.abort()
    late.catch(() => undefined)
  }
}

const body = () => ({ ...SPECIMEN, texts: [...SPECIMEN.texts], choices: [...SPECIMEN.choices] })
