import { request } from 'node:http'
import { text as readAll } from 'node:stream/consumers'
import { test } from 'tap'
import { isAnswer, isRefused } from '../support/answers.ts'
import { ask, startWithoutData } from '../support/no-database.ts'
import { exchange, listen, parse } from '../support/sockets.ts'

const MEBIBYTE = 1024 * 1024
const reset = '/api/v1/reset-password/'
const login = '/api/v1/login/access-token'
const good = JSON.stringify({ token: 'x', new_password: 'correct horse battery' })

void test('bodies', async (t) => {
  const app = await startWithoutData(t)
  const port = await listen(app)
  const post = (payload: string | Buffer, type?: string, url = reset) =>
    ask(app, { method: 'POST', url, payload, headers: type === undefined ? {} : { 'content-type': type } })
  /** This far comes who was understood. */
  const understood = 'Invalid token'
  const unreadable = 'The body could not be read'
  const unsupported = 'Unsupported Media Type'

  await t.test('fault 15: JSON is taken however its type is spelled, and nothing else is', async (t) => {
    const json = [
      'application/json',
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'APPLICATION/JSON',
      'Application/Json ; Charset="utf-8"',
      ' application/json ',
      'application/json\t; charset=utf-8',
      'application/json; boundary=x',
      'application/json;',
    ]
    for (const type of json) isAnswer(t, await post(good, type), 400, understood, JSON.stringify(type))
    const others = [
      'application/jsonx',
      'application/json2',
      'text/json',
      'application/vnd.api+json',
      'text/plain',
      'application/json, text/plain',
      'text/html;application/json',
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded',
      'application',
      '/',
      ';',
      'a/b/c',
      '*/*',
    ]
    for (const type of others) isAnswer(t, await post(good, type), 415, unsupported, JSON.stringify(type))
    isAnswer(t, await post(good), 415, unsupported, 'no type at all')
  })

  await t.test('a form is taken where the contract has one, and only there', async (t) => {
    const form = 'application/x-www-form-urlencoded'
    const right = 'username=ada%40example.com&password=wrong+horse&grant_type=password&scope='
    for (const type of [form, form.toUpperCase(), `${form}; charset=utf-8`])
      isAnswer(t, await post(right, type, login), 400, 'Incorrect email or password', type)
    for (const type of ['application/json', 'multipart/form-data; boundary=x', 'text/plain'])
      isAnswer(t, await post(right, type, login), 415, unsupported, type)
    isRefused(t, await post('username=a&username=b&password=c', form, login), ['body.username'], 'twice')
    isRefused(t, await post('username[]=a&password=c', form, login), ['body.username'], 'as a list')
    isRefused(t, await post('__proto__=x&password=c', form, login), ['body.username'])
    isRefused(t, await post('password=c;username=a', form, login), ['body.username'])
    isAnswer(t, await post('username=%zz&password=%', form, login), 400, 'Incorrect email or password')
    isAnswer(t, await post(Buffer.from('username=\xff&password=c', 'latin1'), form, login), 400, unreadable)
  })

  await t.test('what is no JSON in UTF-8 is said to be unreadable, and stored nowhere', async (t) => {
    const surrogate = Buffer.concat([
      Buffer.from('{"token":"'),
      Buffer.from([0xed, 0xa0, 0x80]),
      Buffer.from('"}'),
    ])
    const bad: Record<string, string | Buffer> = {
      'an open object': '{"token":',
      'a comma too many': '{"token":"x",}',
      'two objects': '{}{}',
      'single quotes': "{'token':'x'}",
      'no number': '{"token":NaN}',
      'a control character': '{"token":"\0"}',
      'spaces only': '  ',
      'Latin 1': Buffer.from('{"token":"é"}', 'latin1'),
      'UTF-16': Buffer.from(good, 'utf16le'),
      'a zero in two bytes': Buffer.from([...Buffer.from('{"token":"'), 0xc0, 0x80, ...Buffer.from('"}')]),
      'half a character': surrogate,
    }
    for (const [name, body] of Object.entries(bad))
      isAnswer(t, await post(body, 'application/json'), 400, unreadable, name)
  })

  await t.test('an empty body is no body, whatever its type', async (t) => {
    const types = [
      'application/json',
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'x',
      '',
    ]
    for (const type of [...types, undefined]) {
      const message = `type ${JSON.stringify(type)}`
      isRefused(t, await post('', type), ['body'], `${message} where a body is needed`)
      const answer = await post('', type, '/api/v1/password-recovery/ada@example.com')
      t.equal(answer.status, 200, `${message} where none is`)
    }
    const head = `POST ${reset} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nConnection: close\r\n`
    const chunked = parse(await exchange(t, port, `${head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`))
    t.match(
      chunked,
      { status: 422, body: { detail: [{ loc: ['body'] }] } },
      'in chunks, of which there are none',
    )
    const missing = (await post('null', 'application/json')).body
    t.strictSame(missing, { detail: [{ type: 'missing', loc: ['body'], msg: 'Field required' }] })
  })

  await t.test(
    'a body that the document does not name is passed over, and the next request is read',
    async (t) => {
      const path = '/api/v1/password-recovery/ada@example.com'
      const bodies: Record<string, [type: string, body: string]> = {
        'no JSON': ['application/json', '{'],
        'no type that is taken': ['text/plain', 'x'],
        'no type at all': [';', 'x'],
        'more than 1 MiB': ['application/json', 'x'.repeat(2 * MEBIBYTE)],
      }
      for (const [name, [type, body]] of Object.entries(bodies)) {
        t.equal((await post(body, type, path)).status, 200, name)
        const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\n`
        const next = 'GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
        const sized = `${head}Content-Length: ${body.length}\r\n\r\n${body}${next}`
        const hex = body.length.toString(16)
        const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n${hex}\r\n${body}\r\n0\r\n\r\n${next}`
        for (const bytes of [sized, chunked])
          t.match(
            (await exchange(t, port, bytes)).match(/HTTP\/1.1 \d+|"live"/g),
            [/ 200$/, / 200$/, 'live'],
            name,
          )
      }
    },
  )

  await t.test('a body has at most 1 MiB, however it comes', async (t) => {
    const sized = (bytes: number) => good.replace('"x"', `"${'x'.repeat(bytes - good.length + 1)}"`)
    isAnswer(t, await post(sized(MEBIBYTE), 'application/json'), 400, understood, 'exactly 1 MiB')
    isAnswer(t, await post(sized(MEBIBYTE + 1), 'application/json'), 413, 'Payload Too Large', 'a byte more')
    for (const length of [undefined, 8 * MEBIBYTE]) {
      const headers = { 'content-type': 'application/json', ...(length && { 'content-length': length }) }
      const sending = request({ port, host: '127.0.0.1', method: 'POST', path: reset, headers })
      const answered = new Promise<[number | undefined, string]>((resolve, reject) => {
        sending.on('error', reject)
        sending.on('response', (response) => {
          readAll(response).then((body) => resolve([response.statusCode, body]), reject)
        })
      })
      sending.end('x'.repeat(8 * MEBIBYTE))
      const [status, body] = await answered
      t.equal(status, 413, length ? 'announced' : 'in chunks')
      t.equal(body, '{"detail":"Payload Too Large"}')
    }
    const lie = `POST ${reset} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${2 ** 40}\r\nConnection: close\r\n\r\n{`
    const { status, body } = parse(await exchange(t, port, lie))
    t.strictSame(
      { status, body },
      { status: 413, body: { detail: 'Payload Too Large' } },
      'before it is read',
    )
  })
})
