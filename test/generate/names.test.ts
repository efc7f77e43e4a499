import { test } from 'tap'
import { article, camelCase, inWords, pascalCase, singular } from '../../src/ownership/names.ts'
import { checkName } from '../../src/scripts/generate/checks.ts'
import { namesOf } from '../../src/scripts/generate/source/names.ts'

void test('what one row is called is derived from the name of its table', async (t) => {
  const names = {
    tasks: 'task',
    categories: 'category',
    boxes: 'box',
    branches: 'branch',
    addresses: 'address',
    statuses: 'status',
    houses: 'house',
    responses: 'response',
    heroes: 'hero',
    people: 'person',
    order_lines: 'order_line',
    bank_addresses: 'bank_address',
  }
  t.strictSame(Object.fromEntries(Object.keys(names).map((name) => [name, singular(name)])), names)
})

void test('a name that is no plural stays as it is', async (t) => {
  const names = ['address', 'status', 'analysis', 'news', 'series', 'equipment']
  t.strictSame(names.map(singular), names)
})

void test('names are written as constants, components and words', async (t) => {
  t.equal(pascalCase('order_line'), 'OrderLine')
  t.equal(camelCase('order_lines'), 'orderLines')
  t.equal(inWords('order_line'), 'order line')
})

void test('the article of a word follows its sound', async (t) => {
  const words = {
    item: 'an',
    note: 'a',
    user: 'a',
    unit: 'a',
    update: 'an',
    hour: 'an',
    url: 'a',
    one_off: 'a',
  }
  t.strictSame(Object.fromEntries(Object.keys(words).map((word) => [word, article(word)])), words)
})

void test('files, constants and the path of a resource follow from its name', async (t) => {
  t.strictSame(namesOf('order_lines'), {
    table: 'order_lines',
    one: 'order_line',
    constant: 'orderLines',
    routes: 'orderLineRoutes',
    file: 'src/resources/order-lines.ts',
    test: 'test/resources/order-lines.test.ts',
    module: './resources/order-lines.ts',
    path: '/api/v1/order-lines/',
  })
})

void test('a name that can not be a resource is refused with what to do', async (t) => {
  t.throws(() => checkName('Notes', undefined), /no name: small letters/)
  t.throws(() => checkName('2notes', undefined), /no name: small letters/)
  t.throws(() => checkName('constructor', undefined), /reserved word: choose another/)
  t.throws(() => checkName('this', undefined), /reserved word/)
  t.throws(() => checkName('text', 'word'), /reserved word/)
  t.throws(() => checkName('note', undefined), /no plural: name many, such as notes/)
  t.throws(() => checkName('notes', 'notes'), /no plural/)
  t.throws(() => checkName('notes', 'One'), /--one One is no name/)
  t.doesNotThrow(() => checkName('equipment', 'device'))
})
