import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { test } from 'tap'
import { isRefused } from '../support/answers.ts'
import { type Person, startService } from '../support/service.ts'

interface Row {
  id: string
  title: string
  email: string
  full_name: string | null
  created_at: string
}

void test('lists', async (t) => {
  const service = await startService(t)
  const { admin, call, rows } = service
  const get = (path: string, query: Record<string, string | number>, as: Person) =>
    call('GET', `${path}?${new URLSearchParams(query as Record<string, string>).toString()}`, { as })
  const list = async (query: Record<string, string | number>, as: Person, path = '/papers/') =>
    (await get(path, query, as)).body as { data: Row[]; count: number; next_cursor: string | null }
  const titles = ({ data }: { data: Row[] }) => data.map(({ title }) => title)

  /** All pages, one after the other by their cursors. */
  async function follow(query: Record<string, string | number>, as: Person, path = '/papers/') {
    const pages = [await list(query, as, path)]
    for (let cursor = pages[0]!.next_cursor; cursor !== null; cursor = pages.at(-1)!.next_cursor)
      pages.push(await list({ ...query, cursor }, as, path))
    return pages
  }
  const addItems = (owner: Person, made: { title: string; description?: string; at?: string }[]) =>
    rows(sql`
      insert into papers (title, description, owner_id, created_at)
      select title, description, ${owner.id}, coalesce(at, '2026-01-01T00:00:00Z')
      from jsonb_to_recordset(${JSON.stringify(made)}::text::jsonb) as made (title text, description text, at timestamptz)`)

  await t.test('a list can be paged by skip and limit alone', async (t) => {
    const reader = await service.person()
    await addItems(
      reader,
      [1, 2, 3].map((n) => ({ title: `${n}`, at: `2026-01-0${n}T00:00:00Z` })),
    )
    const all = await list({}, reader)
    t.same(Object.keys(all), ['data', 'count', 'next_cursor'])
    t.same(titles(all), ['3', '2', '1'])
    t.equal(all.next_cursor, null, 'nothing follows')
    const middle = await list({ skip: 1, limit: 1 }, reader)
    t.same(titles(middle), ['2'])
    t.equal(middle.count, 3)
    const rest = await list({ limit: 1, cursor: middle.next_cursor! }, reader)
    t.same(titles(rest), ['1'], 'and may go on by cursor from any page')
    t.equal(rest.next_cursor, null)
    t.equal((await list({ skip: 1, limit: 2 }, reader)).next_cursor, null, 'a page that ends with the list')
    t.equal((await list({ skip: 9 }, reader)).next_cursor, null, 'a page past the end')
  })

  await t.test('following next_cursor gives each row once, in every order', async (t) => {
    const reader = await service.person()
    // Many rows share a created_at or a title.
    const made = Array.from({ length: 23 }, (_, n) => ({
      title: ['b', 'A', 'a', 'É🦊', "it's"][n % 5]!,
      at: `2026-01-0${1 + (n % 3)}T00:00:00.00${n % 2}Z`,
    }))
    await addItems(reader, made)
    for (const sort of ['created_at', '-created_at', 'title', '-title'])
      for (const as of [reader, admin]) {
        const whole = await list({ sort, limit: 1000 }, as)
        const pages = await follow({ sort, limit: 4 }, as)
        t.same(
          pages.flatMap(({ data }) => data),
          whole.data,
          `${sort} as ${as.email}`,
        )
        t.ok(pages.every(({ count }) => count === whole.count && count >= 23))
        const keys = whole.data.map((row) =>
          sort.endsWith('title') ? row.title.toLowerCase() : row.created_at,
        )
        if (sort.startsWith('-')) keys.reverse()
        t.ok(keys[0]! <= keys.at(-1)!, 'in order')
      }
    t.same(await list({ sort: '-created_at' }, reader), await list({}, reader), 'newest first by default')
    const [a] = titles(await list({ sort: 'title', limit: 1 }, reader))
    t.match(a, /^a$/i, 'capitals are no order of their own')
  })

  await t.test('a page has as many rows as its limit, up to 1,000', async (t) => {
    const reader = await service.person()
    await addItems(
      reader,
      Array.from({ length: 1002 }, (_, n) => ({ title: `${n}` })),
    )
    for (const limit of [99, 100, 101, 1000])
      for (const skip of [0, 1]) {
        const page = await list({ limit, skip }, reader)
        t.equal(page.data.length, limit, `${limit} past ${skip}`)
        t.not(page.next_cursor, null, 'and more to follow')
      }
    const pages = await follow({ limit: 100 }, reader)
    const met = pages.flatMap(({ data }) => data.map(({ id }) => id))
    t.equal(new Set(met).size, 1002)
    t.equal(met.length, 1002, 'each once')
  })

  await t.test('rows added or deleted between pages make no other row repeat or go missing', async (t) => {
    const reader = await service.person()
    await addItems(
      reader,
      Array.from({ length: 40 }, (_, n) => ({ title: `old ${n}` })),
    )
    const staying = new Set(
      (await list({ limit: 1000 }, reader)).data.filter((_, n) => n % 4 !== 0).map(({ id }) => id),
    )
    for (const sort of ['-created_at', 'created_at', 'title', '-title']) {
      const met: string[] = []
      let cursor: string | null = null
      let going = (await list({ limit: 1000, q: 'old' }, reader)).data.filter(({ id }) => !staying.has(id))
      do {
        const page: Awaited<ReturnType<typeof list>> = await list(
          { sort, limit: 5, ...(cursor !== null && { cursor }) },
          reader,
        )
        met.push(...page.data.map(({ id }) => id))
        cursor = page.next_cursor
        // Add rows before and after the cursor, and delete some: also the one that the cursor stands on.
        await addItems(reader, [{ title: 'aaa' }, { title: 'zzz', at: '2027-01-01T00:00:00Z' }])
        const last = page.data.findLast(({ id }) => !staying.has(id))
        for (const { id } of [last, going.pop()].filter((row) => row !== undefined))
          await call('DELETE', `/papers/${id}`, { as: reader })
        going = going.filter(({ id }) => id !== last?.id)
      } while (cursor !== null && met.length < 500)
      t.equal(new Set(met).size, met.length, `${sort}: no row twice`)
      t.same(
        new Set(met.filter((id) => staying.has(id))),
        staying,
        `${sort}: none of those that stayed is lost`,
      )
    }
  })

  await t.test('search finds text anywhere, ignores case, and has no wildcards', async (t) => {
    const reader = await service.person()
    const other = await service.person()
    await addItems(reader, [
      { title: 'Analytical Engine', description: 'Brass, 50% done' },
      { title: 'Difference_Engine' },
      { title: 'Loom', description: String.raw`C:\cards` },
      { title: 'Émilie’s 🦊' },
    ])
    await addItems(other, [{ title: 'Engine of another' }])
    const found = async (q: string, as = reader) => titles(await list({ q, sort: 'title' }, as))
    t.same(await found('ENGINE'), ['Analytical Engine', 'Difference_Engine'])
    t.same(await found('brass'), ['Analytical Engine'], 'in the description too')
    t.same(await found('%'), ['Analytical Engine'])
    t.same(await found('_'), ['Difference_Engine'])
    t.same(await found('\\'), ['Loom'])
    t.same(await found('🦊'), ['Émilie’s 🦊'])
    t.same(await found("' or 1=1 --"), [])
    t.same(await found('engine brass'), [], 'not across fields')
    t.equal((await found('')).length, 4, 'nothing sought: all')
    t.same(await found('another'), [], "and never another's")
    t.same(await found('another', admin), ['Engine of another'], 'but for superusers')
    const pages = await follow({ q: 'e', sort: '-title', limit: 1 }, reader)
    t.same(pages.flatMap(titles), titles(await list({ q: 'e', sort: '-title' }, reader)))
    t.ok(
      pages.every(({ count }) => count === 3),
      'counted is what is found',
    )
    t.same(titles(await list({ q: 'engine', skip: 1, limit: 1, sort: 'title' }, reader)), [
      'Difference_Engine',
    ])
    t.same(await list({ q: 'engine', skip: 9 }, reader), { data: [], count: 2, next_cursor: null })
  })

  await t.test('users can be searched, sorted and paged by cursor', async (t) => {
    const mark = randomUUID()
    for (const [n, full_name] of ['Grace', null, 'ada', 'Bob'].entries())
      await rows(sql`
        insert into users (email, full_name, hashed_password) values (${`${'dCbA'[n]}-${mark}@Example.com`}, ${full_name}, '')`)
    const by = async (sort: string) =>
      (await follow({ q: mark.toUpperCase(), sort, limit: 1 }, admin, '/users/')).flatMap(({ data }) => data)
    const names = async (sort: string) => (await by(sort)).map(({ full_name }) => full_name)
    t.same(await names('full_name'), [null, 'ada', 'Bob', 'Grace'])
    t.same(await names('-full_name'), ['Grace', 'Bob', 'ada', null])
    t.same(
      (await by('email')).map(({ email }) => email[0]),
      ['A', 'b', 'C', 'd'],
    )
    const found = await list({ q: 'GRACE' }, admin, '/users/')
    t.equal(found.count, 1)
    t.notOk('hashed_password' in found.data[0]!)
    const everybody = await list({ sort: 'email', limit: 1000 }, admin, '/users/')
    t.same(
      (await follow({ sort: 'email', limit: 2 }, admin, '/users/')).flatMap(({ data }) => data),
      everybody.data,
    )
    const refused = await get('/users/', { sort: 'hashed_password' }, admin)
    isRefused(t, refused, ['query.sort'])
    t.match(refused.body.detail[0], {
      type: 'enum',
      msg: "Input should be 'created_at', '-created_at', 'email', '-email', 'full_name' or '-full_name'",
    })
  })

  await t.test('a cursor of another order or search, or a forged one, is 422', async (t) => {
    const reader = await service.person()
    await addItems(reader, [{ title: 'a' }, { title: 'b' }])
    const { next_cursor: cursor } = await list({ limit: 1 }, reader)
    const forged = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString('base64url')
    const parts = JSON.parse(Buffer.from(cursor!, 'base64url').toString()) as unknown[]
    const replaced = (place: number, value: unknown) => forged(parts.with(place, value))
    const wrong: Record<string, Record<string, string | number>> = {
      'another order': { cursor: cursor!, sort: 'created_at' },
      'another search': { cursor: cursor!, q: 'a' },
      'skip beside it': { cursor: cursor!, skip: 1 },
      'nothing in it': { cursor: '' },
      'cut off': { cursor: cursor!.slice(0, -2) },
      'added to': { cursor: `${cursor}x` },
      'no base64': { cursor: 'ü~*' },
      'no JSON': { cursor: 'AAAA' },
      'JSON of another kind': { cursor: forged({ sort: 1 }) },
      null: { cursor: forged(null) },
      'no id': { cursor: replaced(3, 'x') },
      'a list for an id': { cursor: replaced(3, [parts[3]]) },
      'no date': { cursor: replaced(2, 'yesterday at noon') },
      'a date that can’t be': { cursor: replaced(2, '0000-00-00T00:00:00.000Z') },
      'U+0000': { cursor: replaced(2, 'a\0') },
      'a number': { cursor: replaced(2, 5) },
      'too long': { cursor: 'x'.repeat(5000) },
    }
    for (const [what, query] of Object.entries(wrong))
      isRefused(t, await get('/papers/', query, reader), ['query.cursor'], what)
    const beside = await list({ cursor: cursor!, skip: 0, limit: 100, sort: '-created_at' }, reader)
    t.equal(beside.data.length, 1, 'defaults beside it, which some generated clients send')
    for (const query of [
      { sort: '' },
      { sort: 'id' },
      { sort: '--title' },
      { sort: 'title,id' },
      { sort: 'owner_id' },
    ])
      isRefused(t, await get('/papers/', query, reader), ['query.sort'], query.sort)
    isRefused(t, await get('/papers/', { q: 'x'.repeat(256) }, reader), ['query.q'])
    isRefused(t, await call('GET', '/papers/?q=%00', { as: reader }), ['query.q'])
    const others = await service.person()
    await addItems(others, [{ title: 'secret', at: '2020-01-01T00:00:00Z' }])
    const page = await list({ cursor: cursor!, limit: 5 }, others)
    t.ok(
      page.data.every(({ title }) => title === 'secret'),
      "another's cursor shows one's own rows alone",
    )
  })
})
