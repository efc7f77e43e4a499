import { test } from 'tap'
import { domainToASCII } from 'node:url'
import { isKnownEmail, readEmail, unicodeForm } from '../src/text/email-address.ts'
import { isAnswer, isRefused } from './support/answers.ts'
import { ask, startWithoutData } from './support/no-database.ts'

const local = 'l'.repeat(64)

const one = [
  'ada@example.com',
  'A.B@EXAMPLE.com',
  "o'brien+tag@example.co.uk",
  "!#$%&'*+/=?^_`{|}~-@example.com",
  'a@xn--bcher-kva.example',
  `${local}@${'b'.repeat(63)}.co`,
  'ä@b.co',
  'а@b.co',
  '用户@例え.jp',
  'ada@bücher.de',
  'jörg@example.com',
  'info@exämple.com',
  'info@نامه\u200Cای.com',
]

/** Texts that some mail program reads as no address, as several, or as another one. */
const none = {
  'not an address': [
    'ada',
    'a@b',
    '@b.co',
    'a@',
    'a@b@c.co',
    'a@[127.0.0.1]',
    '.a@b.co',
    'a..b@c.co',
    'a.@b.co',
  ],
  'no domain': ['a@.b.co', 'a@b..co', 'a@b.co.', 'a@-b.co', 'a@b-.co', 'a@b_c.co', 'a@b.c!'],
  several: ['a@b.co,c@d.co', 'a@b.co c@d.co', 'a@b.co;c@d.co', 'all:a@b.co,c@d.co;', 'x:(y:a@b.co;);'],
  'a header': ['a@b.co\r\nBcc: c@d.co', 'a@b.co\0', 'a\tb@c.co', 'é@b.co\r\nBcc: c@d.co', 'é\n@b.co'],
  'another than it looks like': [
    '"a@evil.co"@b.co',
    '"a b"@c.co',
    'a＠b.co',
    'a＠b.co@c.co',
    'é，c@d.co',
    'é；c@d.co',
    '＜é@b.co',
    'é\u00A0b@c.co',
    'é\u202Eb@c.co',
    'é\uFE0Fb@c.co',
    'é\u3164b@c.co',
    'e\u200Db@c.co',
    'info@exa\u200Bmple.com',
    'info@exa\u00ADmple.com',
    'info@exa\u2060mple.com',
    'info@exa\uFE0Fmple.com',
    'info@exa\u200Dmple.com',
    'info@exa\u0001mple.com',
    'info@ex\u202Eämple.com',
    '\u0301b@c.co',
    'é@b\u037Ec.co',
    'a@b%C3%BCcher.de',
    'a@ü%2Eco',
    'a@ü/b.co',
    'a@ü:25.co',
    'a@é@b.co',
  ],
  'with a name or comment': ['<a@b.co>', 'Ada <a@b.co>', 'a(c)@b.co', 'a@b.co(c)', 'a @b.co', 'a@ b.co'],
  'too long': [`a@${'b'.repeat(64)}.co`, `a@${'b.'.repeat(127)}co`],
}

void test('fault 17: text that is not exactly one email address is 422, in a body and in a path', async (t) => {
  const app = await startWithoutData(t)
  const signup = (email: string) => {
    const payload = { email, password: 'correct horse battery' }
    return ask(app, { method: 'POST', url: '/api/v1/users/signup', payload })
  }
  const recover = (email: string) =>
    ask(app, { method: 'POST', url: `/api/v1/password-recovery/${encodeURIComponent(email)}` })

  for (const email of one) {
    // The database takes no row, as if the address were in use.
    isAnswer(t, await signup(email), 400, 'The user with this email already exists in the system', email)
    t.equal((await recover(email)).status, 200, email)
  }
  for (const [why, emails] of Object.entries(none))
    for (const email of emails) {
      const message = `${why}: ${JSON.stringify(email)}`
      const [body, path] = [await signup(email), await recover(email)]
      if (email.includes('\0')) {
        t.same([body.status, path.status], [422, 422], message)
        continue
      }
      isRefused(t, body, ['body.email'], message)
      isRefused(t, path, ['path.email'], `${message} in a path`)
    }
  isRefused(t, await signup(''), ['body.email'])
  isRefused(t, await signup(`${local}l@b.co`), ['body.email'], 'a new local part of 65 characters')
  t.equal((await recover(`${local}l@b.co`)).status, 200, 'one that a row may have')
})

void test('an address that takes long to read is refused at once', (t) => {
  const start = performance.now()
  for (const text of [
    'a'.repeat(1_000_000),
    `${'a.'.repeat(500_000)}@`,
    `a@${'b-'.repeat(500_000)}`,
    '\u0301'.repeat(1_000_000),
  ])
    t.notOk(isKnownEmail(readEmail(text)))
  t.ok(performance.now() - start < 1_000)
  t.end()
})

void test('an overlong punycode domain is not decoded', (t) => {
  t.equal(unicodeForm('ada@xn--bcher-kva.de'), 'ada@bücher.de')
  const longest = Array.from({ length: 63 }, () => 'ü').join('.')
  t.equal(unicodeForm(`ada@${domainToASCII(longest)}`), `ada@${longest}`)
  t.equal(unicodeForm(`ada@xn--${'a'.repeat(1000)}-kva`), undefined)
  t.end()
})

void test('normalizing an email address twice gives the same as once, for any letters', (t) => {
  const around = ['', 'a', 'I', '\u0301', '\u0307', '\u0345', '1', 'Σ', 'ς']
  const differing: string[] = []
  for (let code = 0x80; code < 0x2_4ff; code += 1)
    for (const other of around)
      for (const local of [
        `${String.fromCodePoint(code)}${other}`,
        `${other}${String.fromCodePoint(code)}`,
      ]) {
        const read = readEmail(`x${local}@b.co`)
        if (readEmail(read) !== read) differing.push(read)
      }
  t.strictSame(differing, [])
  t.equal(readEmail('Ada.Łuk@B.co'), 'Ada.łuk@B.co', 'letters of ASCII keep their case')
  t.end()
})
