import { article, inWords } from '../../../ownership/names.ts'
import { withEntry } from '../edits/blocks.ts'
import type { Field } from '../grammar/fields.ts'
import type { Listing } from '../grammar/listing.ts'
import type { Names } from './names.ts'
import { assertionsOf, changesOf, done } from './test-lists.ts'
import { type Parent, parentSource, sentReference, shortPath } from './test-rows.ts'

/** The source of a test: test/resources/<names>.test.ts. It says what the resource is, and is its owner's from then on. */

/** @param parents in the order in which they can be made */
export function testOf(
  names: Names,
  fields: readonly Field[],
  listing: Listing,
  parents: readonly Parent[],
): string {
  const one = inWords(names.one)
  const of = (field: Field) => sentReference(field, listing, names, parents)
  const sent = fields.map((field) => `${field.name}: ${of(field) ?? JSON.stringify(field.type.samples[0])}`)
  const changes = changesOf(fields, listing)
  const assertions = assertionsOf(fields, listing, of).join('')
  const { readers } = listing
  return `import { test } from 'tap'
import { isAnswer } from '../support/answers.ts'
import { startService } from '../support/service.ts'

void test('${inWords(names.table)}', async (t) => {
  const { call, person } = await startService(t)
  const [owner, other${readers === undefined ? '' : ', reader'}] = [await person(), await person()${
    readers === undefined ? '' : ', await person()'
  }]
  ${createSource(shortPath(names.path), parents)}
${parents.map(parentSource).join('')}
  const sent = { ${sent.join(', ')} }
  const first = await create(sent)
  ${assertions.includes('second') ? 'const second = ' : ''}await create(${
    changes === '' ? 'sent' : `{ ...sent, ${changes} }`
  })
  const path = \`${shortPath(names.path)}\${first.id}\`
  const list = async (query: string, as = owner) =>
    (await call('GET', \`${shortPath(names.path)}?\${query}\`, { as })).body.data

  await t.test('${article(one)} ${one} reads back as it was created', async (t) => {
    const { id, created_at } = first
    t.strictSame(first, { ...sent, id, owner_id: owner.id, created_at })
    isAnswer(t, await call('GET', path, { as: owner }), 200, first)
  })

  await t.test("another user's ${one} is 403", async (t) => {
    isAnswer(t, await call('GET', path, { as: other }), 403, 'Not enough permissions')
    isAnswer(t, await call('PUT', path, { as: other, body: sent }), 403, 'Not enough permissions')
  })
${readers === undefined ? '' : readerTest(readers, one)}
  await t.test("a list has one's own ${inWords(names.table)}${done(listing)}", async (t) => {
    t.strictSame(await list('', other), [])
    t.equal((await list('')).length, 2)
${assertions}  })
})
`
}

/** Rows of other resources are made by the same function, where there are any. */
const createSource = (path: string, parents: readonly Parent[]) =>
  parents.length === 0
    ? `const create = async (body: object) => (await call('POST', '${path}', { as: owner, body })).body`
    : `const create = async (body: object, path = '${path}') => (await call('POST', path, { as: owner, body })).body`

const readerTest = (readers: string, one: string) => `
  await t.test('whom ${readers} names can read ${article(one)} ${one}, and not change it', async (t) => {
    isAnswer(t, await call('GET', path, { as: reader }), 200, first)
    isAnswer(t, await call('PUT', path, { as: reader, body: sent }), 403, 'Not enough permissions')
  })
`

/** The test with one more field in what it sends; undefined where its owner wrote it anew. */
export function withSent(test: string, { name, type }: Field): string | undefined {
  const found = /\bconst sent = (?=\{)/.exec(test)
  // A field that is added later refers to something only if it may be null.
  const value = type.refersTo === undefined ? JSON.stringify(type.samples[0]) : 'null'
  return found ? withEntry(test, found.index + found[0].length, `${name}: ${value}`) : undefined
}
