import { request } from 'node:http'
import { connect } from 'node:net'
import { text as readAll } from 'node:stream/consumers'
import fastify from 'fastify'
import { test } from 'tap'
import { ApiError } from '../../src/contract/errors.ts'
import { parseMultipart } from '../../src/http/input/multipart.ts'
import { bodies } from '../../src/http/input/bodies.ts'
import { errors } from '../../src/http/errors.ts'
import { reporting } from '../../src/http/observe/reporting.ts'
import { isAnswer, isRefused } from '../support/answers.ts'
import { quickest } from '../support/cpu-time.ts'
import { errorBody, errorText, faultsBody } from '../support/errors.ts'
import { ask, startWithoutData } from '../support/no-database.ts'
import { exchange, listen, parse } from '../support/sockets.ts'

const LIMIT = 32 * 1024
const MEBIBYTE = 1024 * 1024
const reset = '/api/v1/reset-password/'
const login = '/api/v1/login/access-token'
const good = JSON.stringify({ token: 'x', new_password: 'correct horse battery' })

void test('bodies', async (t) => {
  const app = await startWithoutData(t)
  const port = await listen(app)
  const post = (payload: string | Buffer, type?: string, url = reset) =>
    ask(app, { method: 'POST', url, payload, headers: type === undefined ? {} : { 'content-type': type } })
  /** The error of a request whose body was read and is valid. */
  const understood = 'Invalid token'
  const unreadable = 'The body could not be read'
  const unsupported = 'Unsupported Media Type'

  await t.test('fault 15: any spelling of application/json is accepted; another type is 415', async (t) => {
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

  await t.test('sign-in takes a URL-encoded form; JSON, text or multipart/mixed is 415', async (t) => {
    const form = 'application/x-www-form-urlencoded'
    const right = 'username=ada%40example.com&password=wrong+horse&grant_type=password&scope='
    for (const type of [form, form.toUpperCase(), `${form}; charset=utf-8`])
      isAnswer(t, await post(right, type, login), 400, 'Incorrect email or password', type)
    for (const type of ['application/json', 'multipart/mixed; boundary=x', 'text/plain'])
      isAnswer(t, await post(right, type, login), 415, unsupported, type)
    isRefused(t, await post('username=a&username=b&password=c', form, login), ['body.username'], 'twice')
    isRefused(t, await post('username[]=a&password=c', form, login), ['body.username'], 'as a list')
    isRefused(t, await post('__proto__=x&password=c', form, login), ['body.username'])
    isRefused(t, await post('password=c;username=a', form, login), ['body.username'])
    isAnswer(t, await post('username=%zz&password=%', form, login), 400, 'Incorrect email or password')
  })

  await t.test(
    'a form field with bytes that are not UTF-8 is 422 at that field, never read as U+FFFD',
    async (t) => {
      const form = 'application/x-www-form-urlencoded'
      const send = (body: string) => post(Buffer.from(body, 'latin1'), form, login)
      const bytes: Record<string, string> = {
        'an escape': '%ff',
        'a raw byte': '\xff',
        'Latin 1': 'caf\xe9',
        'half of a character': '%c3',
        'half of it escaped, half not': '%c3(',
        'a zero in two bytes': '%c0%80',
        'half a surrogate pair': '%ed%a0%80',
        'beyond the last character': '%f4%90%80%80',
        'beside a percent sign that means nothing': '%zz%ff',
        'after good ones': '%c3%a9+%e2%82',
      }
      for (const [name, text] of Object.entries(bytes)) {
        const faults = ['body.password', 'body.username']
        isRefused(t, await send(`username=${text}&password=${text}`), faults, name)
        isRefused(t, await send(`username=a&password=b&client_id=${text}`), ['body.client_id'], name)
        isAnswer(t, await send(`username=a&password=b&${text}=c`), 400, 'Incorrect email or password', name)
      }
      for (const text of [
        'é',
        '%C3%A9',
        '%c3\u00a9',
        '%EF%BF%BD',
        '\ufffd',
        '%F0%9F%A6%8A',
        'a+b',
        '%',
        '%4',
        '%zz',
      ])
        isAnswer(
          t,
          await post(
            text.includes('\u00a9')
              ? Buffer.from(`username=${text}&password=b`, 'latin1')
              : `username=${text}&password=b`,
            form,
            login,
          ),
          400,
          'Incorrect email or password',
          text,
        )
      const many = Array.from({ length: 2000 }, (_, at) => `k${at}=%ff`).join('&')
      isRefused(t, await send(many), ['body.password', 'body.username'], 'among thousands of fields')
    },
  )

  await t.test('sign-in takes multipart/form-data; other routes answer it with 415', async (t) => {
    const wrong = 'Incorrect email or password'
    const type = 'multipart/form-data; boundary=x'
    const part = (name: string, value: string, more = '', headers = '') =>
      `--x\r\nContent-Disposition: form-data; name=${name}${more}\r\n${headers}\r\n${value}\r\n`
    const end = '--x--\r\n'
    const username = part('"username"', 'ada@example.com')
    const both = username + part('"password"', 'wrong horse')
    const send = (body: string, as = type) => post(Buffer.from(body, 'latin1'), as, login)
    const page = '/reset-password'

    const good: Record<string, [body: string, type?: string]> = {
      'as browsers send it': [both + end],
      'a boundary in quotation marks': [both + end, 'multipart/form-data; boundary="x"'],
      capitals: [both + end, 'Multipart/Form-Data;BOUNDARY=x; charset=UTF-8'],
      'names without quotation marks': [username + part('password', 'p') + end],
      'no line break at the end': [both + '--x--'],
      'text before and after': [`before\r\n${both}${end}after`],
      'the type of a part': [
        username + part('"password"', 'p\xc3\xa9', '', 'Content-Type: text/plain; charset=utf-8\r\n') + end,
      ],
      'all fields of the form': [
        both +
          ['grant_type', 'scope', 'client_id', 'client_secret']
            .map((name) => part(`"${name}"`, ''))
            .join('') +
          end,
      ],
      'an empty value': [username + part('"password"', '') + end],
      'what looks like a part': [username + part('"password"', 'p --x--') + end],
      'U+FFFD itself': [username + part('"password"', '\xef\xbf\xbd') + end],
      'a field that nobody knows': [both + part('"\xff"', '\xff') + part('"__proto__"', 'x') + end],
    }
    for (const [name, [body, as]] of Object.entries(good)) isAnswer(t, await send(body, as), 400, wrong, name)

    const refused: Record<string, [body: string, places: string[]]> = {
      'no part': [end, ['username', 'password']],
      'one is missing': [username + end, ['password']],
      'one comes twice': [username + both + end, ['username']],
      'a part that is no form-data': [
        username + part('"password"', 'p').replace('form-data', 'attachment') + end,
        ['password'],
      ],
      'bytes that are no UTF-8': [
        part('"username"', '\xff') + part('"password"', 'caf\xe9') + end,
        ['username', 'password'],
      ],
      'bytes that are no UTF-8 beside U+FFFD itself': [
        username + part('"password"', 'a\xff') + part('"client_id"', 'a\xef\xbf\xbd') + end,
        ['password'],
      ],
      'half a surrogate pair': [username + part('"password"', '\xed\xa0\x80') + end, ['password']],
      'U+0000': [username + part('"password"', 'a\0') + end, ['password']],
      'another charset': [
        username + part('"password"', 'caf\xe9', '', 'Content-Type: text/plain; charset=latin1\r\n') + end,
        ['password'],
      ],
      'UTF-16': [
        username +
          part('"password"', 'a\0b\0c', '', 'Content-Type: text/plain;\r\n charset=utf-16le\r\n') +
          end,
        ['password'],
      ],
      'no such charset': [
        username + part('"password"', '\xff', '', 'Content-Type: text/plain; charset=x\r\n') + end,
        ['password'],
      ],
      'another grant': [both + part('"grant_type"', 'code') + end, ['grant_type']],
    }
    for (const [name, [body, places]] of Object.entries(refused))
      isRefused(
        t,
        await send(body),
        places.map((place) => `body.${place}`),
        name,
      )

    const file = (more: string) => part('"password"', 'p', more)
    for (const more of [
      '; filename="x.txt"',
      '; filename=""',
      ';filename=x',
      '; FILENAME=x',
      "; filename*=UTF-8''x",
      '; y="z"; filename="x"',
    ])
      isAnswer(t, await send(username + file(more) + end), 415, unsupported, `a file: ${more}`)
    isAnswer(
      t,
      await send(both + part('"x"', 'y', '; filename="x"') + end),
      415,
      unsupported,
      'one that nobody asked for',
    )
    isAnswer(
      t,
      await send(`${username}--x\r\n${file('; filename="x"').slice(5, -1)}`),
      415,
      unsupported,
      'half a file',
    )

    const bad: Record<string, [body: string, type?: string]> = {
      'no boundary': [both + end, 'multipart/form-data'],
      'an empty boundary': [both + end, 'multipart/form-data; boundary='],
      'another boundary': [both + end, 'multipart/form-data; boundary=y'],
      'no end': [both],
      'half a part': [both.slice(0, -20)],
      'half a header': ['--x\r\nContent-Dispo'],
      'nothing like it': ['username=a&password=b'],
      'line feeds alone': [(both + end).replaceAll('\r\n', '\n')],
      'a part without a name': [both + part('', '').replace('; name=', '') + end],
    }
    for (const [name, [body, as]] of Object.entries(bad))
      isAnswer(t, await send(body, as), 400, unreadable, name)
    isAnswer(
      t,
      await send(both + part('"a"', '').repeat(500) + end),
      413,
      'Payload Too Large',
      'hundreds of parts',
    )
    isAnswer(
      t,
      await send(username + part('"password"', 'p'.repeat(LIMIT)) + end),
      413,
      'Payload Too Large',
      'a large one',
    )
    isAnswer(
      t,
      await send(username + part('"password"', 'p'.repeat(LIMIT / 2)) + end),
      400,
      wrong,
      'a password that is too long',
    )

    for (const path of [reset, '/api/v1/users/signup', page, '/verify-email', '/api/v1/login/refresh-token'])
      t.equal((await post(both + end, type, path)).status, 415, path)
  })

  await t.test('a body that is not valid JSON in UTF-8 is 400', async (t) => {
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

  await t.test('an empty body counts as no body, whatever its content type', async (t) => {
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
    const head = `POST ${reset} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nConnection: close\r\n`
    const chunked = parse(await exchange(t, port, `${head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`))
    t.match(
      chunked,
      { status: 422, body: { detail: [{ loc: ['body'] }] } },
      'in chunks, of which there are none',
    )
    const missing = (await post('null', 'application/json')).body
    t.strictSame(missing, faultsBody({ type: 'missing', loc: ['body'], msg: 'Field required' }))
  })

  await t.test(
    'a body that the operation does not declare is ignored, and the next request is answered',
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
        const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\n`
        const next = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
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

  await t.test('a body above 32 KiB is 413, with a Content-Length or in chunks', async (t) => {
    const sized = (bytes: number) => good.replace('"x"', `"${'x'.repeat(bytes - good.length + 1)}"`)
    isAnswer(t, await post(sized(LIMIT), 'application/json'), 400, understood, 'exactly 32 KiB')
    isAnswer(t, await post(sized(LIMIT + 1), 'application/json'), 413, 'Payload Too Large', 'a byte more')
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
      t.equal(body, errorText('Payload Too Large'))
    }
    const lie = `POST ${reset} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${2 ** 40}\r\nConnection: close\r\n\r\n{`
    const { status, body } = parse(await exchange(t, port, lie))
    t.strictSame({ status, body }, { status: 413, body: errorBody('Payload Too Large') }, 'before it is read')
  })
})

void test('a body that was answered early is discarded up to 16 MiB, then the connection is closed', async (t) => {
  const port = await listen(await startWithoutData(t))
  const MOST = 256
  /** Sends one MiB after another until the server closes the connection. */
  const flood = (head: string, piece: Buffer) =>
    new Promise<{ answer: string; sent: number }>((resolve) => {
      let [answer, sent] = ['', 0]
      const socket = connect(port, '127.0.0.1')
      const send = () => {
        sent += 1
        if (sent > MOST) socket.destroy()
        else socket.write(piece, (error) => !error && send())
      }
      t.teardown(() => socket.destroy())
      socket.setEncoding('utf8').on('data', (text: string) => (answer += text))
      socket.on('error', () => undefined).on('close', () => resolve({ answer, sent }))
      socket.write(head)
      send()
    })
  const zeros = Buffer.alloc(MEBIBYTE)
  const ways: [header: string, piece: Buffer][] = [
    ['Content-Length: 10000000000', zeros],
    ['Transfer-Encoding: chunked', Buffer.concat([Buffer.from('100000\r\n'), zeros, Buffer.from('\r\n')])],
  ]
  const requests: [line: string, status: number][] = [
    ['POST /nowhere', 404],
    ['POST /api/v1/papers/', 401],
    ['GET /api/v1/papers/', 401],
    ['POST /api/v1/password-recovery/ada@example.com', 200],
  ]
  for (const [header, piece] of ways)
    for (const [line, status] of requests) {
      const head = `${line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${header}\r\n\r\n`
      const { answer, sent } = await flood(head, piece)
      t.equal(parse(answer).status, status, `${line}, ${header}`)
      t.ok(sent > 16 && sent < 64, `${sent} MiB are sent`) // more than 16, as socket buffers hold some
    }
})

void test('a hostile JSON body within 32 KiB is refused within 5 ms', async (t) => {
  const app = await startWithoutData(t)
  const inField = (text: string) => `{"email":${text}}`
  const payloads = {
    'arrays in arrays': '['.repeat(LIMIT),
    'arrays in arrays, closed': inField('['.repeat(LIMIT / 2 - 8) + ']'.repeat(LIMIT / 2 - 8)),
    'objects in objects': inField('{"a":'.repeat(5000) + '1' + '}'.repeat(5000)),
    'a list of lists': inField(`[${'[],'.repeat(10_000)}[]]`),
    'unknown fields': `{${Array.from({ length: 3500 }, (_, n) => `"${n.toString(36)}":0`).join(',')}}`,
    'one field again and again': `{${'"email":1,'.repeat(3000)}"email":1}`,
    'U+0000 everywhere': inField(`[${String.raw`"\u0000",`.repeat(3000)}1]`),
    'names that are left out': `{${'"constructor":{},'.repeat(1900)}"a":1}`,
  }
  for (const [name, payload] of Object.entries(payloads)) {
    t.ok(payload.length <= LIMIT, `${name} fits`)
    const leastMs = await quickest(5, async () => {
      const { status } = await ask(app, {
        method: 'POST',
        url: '/api/v1/users/signup',
        payload,
        headers: { 'content-type': 'application/json' },
      })
      t.match(status, /^4/)
    })
    t.ok(leastMs <= 5, `${name}: ${leastMs.toFixed(1)} ms`)
  }
})

void test('a hostile multipart body is refused within 10 ms', async (t) => {
  const app = await startWithoutData(t)
  const part = (headers: string, value = '') => `--x\r\n${headers}\r\n\r\n${value}\r\n`
  const named = 'Content-Disposition: form-data; name="username"'
  const bodies = {
    dashes: '-'.repeat(LIMIT),
    'almost a boundary again and again': part(named, '\r\n-'.repeat(LIMIT / 4)),
    parts: part(named).repeat(500),
    headers: `--x\r\n${'a:b\r\n'.repeat(5000)}`,
    'a long header': part(named + ' '.repeat(30_000)),
    'marks in a header': part(`${named}; y="${String.raw`\"`.repeat(15_000)}"`),
    parameters: part(named + ';a=b'.repeat(7_000)),
    'a value that is searched for':
      part(named, 'a'.repeat(16_000)) +
      part(`${named}\r\nContent-Type: text/plain; charset=latin1`, `${'a'.repeat(15_000)}\xe9`),
    'values that are almost what is before them':
      part(named.replace('username', 'x'), 'a'.repeat(16_000)) +
      part(named, `${'a'.repeat(300)}b${'a'.repeat(300)}`).repeat(22),
  }
  const headers = { 'content-type': 'multipart/form-data; boundary=x' }
  for (const [name, body] of Object.entries(bodies)) {
    const payload = Buffer.from(`${body.slice(0, LIMIT - 5)}--x--`, 'latin1')
    const leastMs = await quickest(10, async () => {
      const { status } = await ask(app, { method: 'POST', url: login, payload, headers })
      t.match(status, /^4/, name)
    })
    t.ok(leastMs <= 10, `${name}: ${leastMs.toFixed(1)} ms`)
  }
})

void test('a multipart body that is cut off or has a wrong byte is read, 400 or 415, never 500', async (t) => {
  const part = (name: string, more = '') =>
    `--x\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\nvalue\r\n`
  const whole = Buffer.from(`${part('username')}${part('password')}${part('y', '; filename="z"')}--x--\r\n`)
  const kinds = new Set<string>()
  const read = async (body: Buffer) => {
    const error: unknown = await parseMultipart(body, 'multipart/form-data; boundary=x').catch(
      (e: unknown) => e,
    )
    kinds.add(
      error instanceof ApiError ? String(error.status) : error instanceof Error ? error.message : 'read',
    )
  }
  for (let at = 1; at < whole.length; at++) {
    await read(whole.subarray(0, at))
    for (const byte of ['\r', '\n', '-', '"', ':', ';', '\xff'])
      await read(Buffer.concat([whole.subarray(0, at), Buffer.from(byte, 'latin1'), whole.subarray(at + 1)]))
  }
  t.same([...kinds].toSorted(), ['400', '415', 'read'])
})

void test('an operation can raise its own body limit', async (t) => {
  const app = fastify({ bodyLimit: LIMIT })
  t.teardown(() => app.close())
  await app.register(reporting, { config: { ENVIRONMENT: 'local' } as never })
  await app.register(errors)
  await app.register(bodies)
  const schema = { body: {} }
  app.post('/small', { schema }, () => 'taken')
  app.post('/large', { schema: { ...schema, bodyLimit: MEBIBYTE } }, () => 'taken')
  const post = async (url: string, bytes: number) => {
    const payload = `"${'x'.repeat(bytes - 2)}"`
    const headers = { 'content-type': 'application/json' }
    return (await app.inject({ method: 'POST', url, payload, headers })).statusCode
  }
  t.same(await Promise.all([post('/small', LIMIT), post('/small', LIMIT + 1)]), [200, 413])
  t.same(await Promise.all([post('/large', MEBIBYTE), post('/large', MEBIBYTE + 1)]), [200, 413])
})
