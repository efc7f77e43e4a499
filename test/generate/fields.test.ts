import { type Test, test } from 'tap'
import { fieldSource } from '../../src/scripts/generate/source/declaration.ts'
import { readField, withFill } from '../../src/scripts/generate/grammar/fields.ts'
import { checkListing } from '../../src/scripts/generate/grammar/listing.ts'
import { namesOf } from '../../src/scripts/generate/source/names.ts'

const targets = new Map([
  ['projects', { constant: 'projects', module: './projects.ts' }],
  ['users', { constant: 'users', module: '../database/tables.ts' }],
])
const names = namesOf('notes')

/** As it is declared, before formatting. */
const declared = (text: string) => fieldSource(readField(text), names, targets)

const eachIs = (t: Test, expected: Readonly<Record<string, string>>) => {
  t.strictSame(Object.fromEntries(Object.keys(expected).map((text) => [text, declared(text)])), expected)
}

const eachIsRefused = (t: Test, expected: Readonly<Record<string, RegExp>>) => {
  for (const [text, message] of Object.entries(expected)) t.throws(() => readField(text), message, text)
}

void test('each type is declared by its function', async (t) => {
  eachIs(t, {
    'a:text': 'a: text(255, { min: 1, example: "A of a note" })',
    'body:text(1000)': 'body: text(1000, { min: 1, example: "Body of a note" })',
    'a:int': 'a: int()',
    'a:int(1,5)': 'a: int({ min: 1, max: 5 })',
    'a:int(-5,5)=3': 'a: int({ min: -5, max: 5, default: 3 })',
    'a:list(int(1,5))=[2]': 'a: list(int({ min: 1, max: 5 }), { default: [2] })',
    'a:decimal(10,2)': 'a: decimal(10, 2)',
    'a:flag': 'a: flag()',
    'a:time': 'a: time()',
    'a:day': 'a: day()',
    'a:oneOf(x,y z)': 'a: oneOf(["x","y z"])',
    'a:list(text(50))': 'a: list(text(50))',
    'a:list(decimal(10, 2))': 'a: list(decimal(10, 2))',
    'a:json': 'a: json(Type.Unknown())',
    'a:uuid': 'a: uuid()',
    'a:email': 'a: email()',
    'a:url': 'a: url()',
    'a:reference(projects)': 'a: reference(() => projects)',
    'a:reference(projects,restrict)': 'a: reference(() => projects, { onDelete: "restrict" })',
    'a:reference(users,setNull)?': 'a: optional(reference(() => users, { onDelete: "set null" }))',
    'a:reference(users,set null)?': 'a: optional(reference(() => users, { onDelete: "set null" }))',
    'a:reference(notes)?': 'a: optional(reference((): object => notes))',
  })
})

void test('a field has a default, is optional, or both', async (t) => {
  eachIs(t, {
    'due:day?': 'due: optional(day())',
    'a:text?': 'a: optional(text(255, { example: "A of a note" }))',
    'a:text=new': 'a: text(255, { min: 1, default: "new" })',
    'a:text(20)=it is = (b)': 'a: text(20, { min: 1, default: "it is = (b)" })',
    'a:int=-5': 'a: int({ default: -5 })',
    'a:flag?=true': 'a: optional(flag({ default: true }))',
    'a:decimal(4,2)=12.5': 'a: decimal(4, 2, { default: "12.5" })',
    'a:day=2026-01-31': 'a: day({ default: "2026-01-31" })',
    'a:oneOf(x,y)=y': 'a: oneOf(["x","y"], { default: "y" })',
    'a:list(int)=[1,2]': 'a: list(int(), { default: [1,2] })',
    'a:json={"b":1}': 'a: json(Type.Unknown(), { default: {"b":1} })',
  })
})

void test('a wrong field is refused with its name and what to write', async (t) => {
  eachIsRefused(t, {
    title: /"title" is no field: write name:type/,
    'a:text(5': /is no field/,
    'Title:text': /Title: a name is small letters/,
    'owner_id:uuid': /owner_id: every resource has this field by itself/,
    'sort:int': /sort: every list has a parameter of this name/,
    'constructor:int': /constructor: this name is reserved/,
    'ctid:int': /ctid: this name is reserved/,
    'a:string': /a: there is no type "string", only text, /,
    'a:toString': /there is no type "toString"/,
    'a:int(5)': /a: int takes its least and its greatest value, or nothing: int\(1,5\)/,
    'a:int(5,1)': /int takes its least/,
    'a:int(0,3000000000)': /int takes its least/,
    'a:int(1,5)=6': /should be a whole number from 1 to 5/,
    'a:text(0)': /text takes its greatest length, from 1/,
    'a:text(x)': /text takes its greatest length/,
    'a:decimal(2,5)': /decimal takes how many digits/,
    'a:decimal': /decimal takes how many digits/,
    'a:oneOf(x)': /oneOf takes two or more different values/,
    'a:oneOf(x,x)': /oneOf takes two or more different values/,
    'a:list': /list takes the type of its values/,
    'a:list(json)': /there is no list of json/,
    'a:list(pear)': /there is no type "pear"/,
    'a:reference': /reference takes a resource or users/,
    'a:reference(projects,delete)': /reference takes a resource or users/,
    'a:reference(users,restrict)': /a user can be deleted at any time/,
    'a:reference(users,set null)': /a field that is set to null may be null: add a \?/,
  })
})

void test('a default that is no value of the type is refused with what is expected', async (t) => {
  eachIsRefused(t, {
    'a:text(3)=four': /a: the default "four" should be text of 1 to 3 characters/,
    'a:text=': /should be text of 1 to 255/,
    'a:int=1.5': /should be a whole number/,
    'a:int=3000000000': /should be a whole number/,
    'a:decimal(4,2)=123': /should be a number of 4 digits, 2 of them after the point/,
    'a:flag=yes': /should be true or false/,
    'a:day=2026-02-30': /should be a day such as/,
    'a:time=noon': /should be a time such as/,
    'a:oneOf(x,y)=z': /should be one of x, y/,
    'a:uuid=5': /should be a UUID/,
    'a:email=ada': /should be a mail address/,
    'a:url=ftp://a.example': /should be a URL of http or https/,
    'a:list(int)=["x"]': /should be a JSON array/,
    'a:json=null': /should be JSON other than null/,
    'a:reference(projects)=5': /a reference takes no default/,
  })
})

void test('a fill is a value of the type, too', async (t) => {
  const field = readField('colour:oneOf(red,blue)')
  t.equal(
    fieldSource(withFill(field, 'red'), names, targets),
    'colour: oneOf(["red","blue"], { fill: "red" })',
  )
  t.throws(() => withFill(field, 'green'), /colour: the fill "green" should be one of red, blue/)
})

void test('lists are sorted, searched and filtered by fields that can be', async (t) => {
  const fields = ['a:text(501)', 'b:int', 'c:list(int)', 'd:url', 'e:reference(users)'].map(readField)
  const nothing = { sort: [], search: [], filter: [] }
  const check = (more: object) => () => checkListing('notes', fields, { ...nothing, ...more })
  t.doesNotThrow(check({ sort: ['a', 'b'], search: ['a', 'd'], filter: ['b', 'e'], readers: 'e' }))
  t.throws(check({ sort: ['x'] }), /--sort x: there is no such field, only a, b, c, d, e/)
  t.throws(check({ sort: ['c'] }), /--sort c: lists can't be sorted/)
  t.throws(check({ search: ['b'] }), /--search b: text, email and url can be searched/)
  t.throws(check({ filter: ['a'] }), /--filter a: lists can't be filtered/)
  t.throws(check({ filter: ['d'] }), /--filter d: lists can't be filtered/)
  t.throws(check({ readers: 'b' }), /--readers b: it names no user/)
  t.throws(check({ sort: ['b', 'b'] }), /--sort names a field twice/)
  const long = 'b'.repeat(40)
  t.throws(
    () => checkListing('notes', [readField(`${long}:int`)], { ...nothing, sort: [long] }),
    /names of its indexes get too long/,
  )
})
