import { createHmac } from 'node:crypto'
import { type IncomingHttpHeaders, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'tap'
import { asksForToken, isAnswer, refusesToken } from '../support/answers.ts'
import { errorText } from '../support/errors.ts'
import { startService } from '../support/service.ts'

const SECRET_KEY = 'the secret that only this test knows'

const encoded = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')

/** A JWT made by hand, with any claims, algorithm, key and header. */
function jwt(claims: unknown, { alg = 'HS256', hash = 'sha256', key = SECRET_KEY, header = {} } = {}) {
  const signed = `${encoded({ alg, typ: 'JWT', ...header })}.${encoded(claims)}`
  return `${signed}.${createHmac(hash, key).update(signed).digest('base64url')}`
}

void test('bearer', async (t) => {
  const service = await startService(t, { SECRET_KEY })
  const { app, call } = service
  const [ada, bob] = [await service.person(), await service.person()]
  const claimsOf = ({ token }: { token: string }) =>
    JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { sub: string; sid: string }
  const { sub, sid } = claimsOf(ada)
  const now = Math.floor(Date.now() / 1000)
  const right = { sub, sid, iat: now, exp: now + 600 }
  const send = (authorization: string) => call('GET', '/users/me', { headers: { authorization } })

  await t.test(
    'a JWT signed with SECRET_KEY is accepted, whatever the case of the scheme "Bearer"',
    async (t) => {
      t.match(await send(`Bearer ${jwt(right)}`), { status: 200, body: { id: ada.id } })
      t.equal((await send(`bearer ${jwt(right)}`)).status, 200, 'the scheme has no case (RFC 9110, 11.1)')
    },
  )

  const unsigned = `${encoded({ alg: 'none', typ: 'JWT' })}.${encoded(right)}.`
  const { exp: _exp, ...noExp } = right
  const { sub: _sub, ...noSub } = right
  const { sid: _sid, ...noSid } = right
  const { iat: _iat, ...noIat } = right
  const [header, payload, signature] = jwt(right).split('.') as [string, string, string]
  const forged = {
    'alg none': unsigned,
    'alg None': unsigned.replace(/^[^.]+/, encoded({ alg: 'None' })),
    'alg none with the right signature': `${encoded({ alg: 'none' })}.${payload}.${signature}`,
    'no alg': jwt(right, { header: { alg: undefined } }),
    'HS512 with the right key': jwt(right, { alg: 'HS512', hash: 'sha512' }),
    'HS384 with the right key': jwt(right, { alg: 'HS384', hash: 'sha384' }),
    'RS256 signed with the secret': jwt(right, { alg: 'RS256' }),
    'EdDSA signed with the secret': jwt(right, { alg: 'EdDSA' }),
    'another key': jwt(right, { key: `${SECRET_KEY}.` }),
    'an empty key': jwt(right, { key: '' }),
    'a key of its own in the header': jwt(right, { key: 'k', header: { jwk: { kty: 'oct', k: 'aw' } } }),
    'an extension that must be understood': jwt(right, { header: { crit: ['exp2'], exp2: 1 } }),
    'no signature': `${header}.${payload}.`,
    'another signature': `${header}.${payload}.${'A'.repeat(43)}`,
    "another's payload": `${header}.${encoded({ ...right, ...claimsOf(bob) })}.${signature}`,
    'no exp': jwt(noExp),
    'no sub': jwt(noSub),
    'no sid': jwt(noSid),
    'no iat': jwt(noIat),
    'expired by one second': jwt({ ...right, exp: now - 1 }),
    'expired at this moment': jwt({ ...right, exp: now }),
    'an exp of text': jwt({ ...right, exp: String(right.exp) }),
    'an exp of null': jwt({ ...right, exp: null }),
    'sub no UUID': jwt({ ...right, sub: ada.email }),
    'sid no UUID': jwt({ ...right, sid: "' or true --" }),
    'sub of another type': jwt({ ...right, sub: [sub] }),
    'sub of another user': jwt({ ...right, sub: bob.id }),
    'sub of nobody': jwt({ ...right, sub: '00000000-0000-4000-8000-000000000000' }),
    'sid of another user': jwt({ ...right, sid: claimsOf(bob).sid }),
    'an array': jwt([right]),
    'a text': jwt('text'),
    'a number': jwt(5),
    null: jwt(null),
    'no JSON': `${header}.${Buffer.from('{').toString('base64url')}.${signature}`,
    'two parts': `${header}.${payload}`,
    'four parts': `${jwt(right)}.x`,
    'dots alone': '..',
    text: 'x',
    'a replaced letter': jwt(right).replace(/^e/, 'f'),
    'what is no base64url': `${header}.${payload}.=+/`,
  }
  for (const [what, token] of Object.entries(forged)) {
    await t.test(`fault 4: an invalid access token is 401: ${what}`, async (t) =>
      refusesToken(t, await send(`Bearer ${token}`)),
    )
  }

  await t.test('a request without a bearer token is 401 and is asked for one', async (t) => {
    const basic = Buffer.from(`${ada.email}:${ada.password}`).toString('base64')
    for (const header of [
      '',
      ' ',
      `Basic ${basic}`,
      jwt(right),
      `Token ${jwt(right)}`,
      `Bearer${jwt(right)}`,
    ])
      asksForToken(t, await send(header), header.slice(0, 8))
    asksForToken(t, await call('GET', '/users/me'))
    asksForToken(t, await call('GET', `/users/me?access_token=${ada.token}`), 'tokens do not stand in URLs')
    asksForToken(t, await call('GET', '/users/me', { headers: { cookie: `access_token=${ada.token}` } }))
  })

  await t.test('fault 4: "Bearer" without a token, or with two, is 401', async (t) => {
    const token = jwt(right)
    for (const header of [
      'Bearer',
      'Bearer ',
      `Bearer Bearer ${token}`,
      `Bearer ${token} ${token}`,
      `Bearer ${token}, Bearer ${token}`,
      `Bearer ${token},${token}`,
    ])
      refusesToken(t, await send(header), header.slice(0, 15))
  })

  await t.test('fault 3: each kind of token works only at its own endpoint', async (t) => {
    const { body } = await service.signIn(ada.email, ada.password)
    const reset = await service.resetToken(ada.email)
    refusesToken(t, await send(`Bearer ${body.refresh_token}`), 'a refresh token is no access token')
    refusesToken(t, await send(`Bearer ${reset}`), 'a one-time token is no access token')

    const tokenId = reset.slice(0, reset.lastIndexOf('.'))
    const use = (token: string) =>
      call('POST', '/reset-password/', { body: { token, new_password: 'another horse battery' } })
    const others = {
      'an access token': body.access_token,
      'a refresh token': body.refresh_token,
      'a token for another purpose': app.auth.oneTimeTokens.sign('verify_email', tokenId),
      'an id alone': tokenId,
      'a session signed as a token': app.auth.oneTimeTokens.sign('reset_password', sid),
      'a user signed as a token': app.auth.oneTimeTokens.sign('reset_password', ada.id),
    }
    for (const [what, token] of Object.entries(others))
      isAnswer(t, await use(token), 400, 'Invalid token', what)
    t.equal((await use(reset)).status, 200, 'and the right one still works')
  })

  await t.test(
    'fault 4: an oversized or repeated Authorization header is 401 or 431, and the service goes on',
    async (t) => {
      await app.listen({ host: '127.0.0.1', port: 0 })
      const { port } = app.server.address() as AddressInfo
      const get = (authorization: string | string[]) =>
        new Promise<{ status: number; headers: IncomingHttpHeaders; text: string }>((resolve, reject) => {
          const options = {
            port,
            path: '/api/v1/users/me',
            headers: { Authorization: authorization },
            agent: false,
          }
          request(options, (answer) => {
            let text = ''
            answer.setEncoding('utf8').on('data', (part) => (text += part))
            answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }))
          })
            .on('error', reject)
            .end()
        })

      const invalid = errorText('Could not validate credentials')
      for (const token of [
        'x'.repeat(16 * 1024),
        jwt({ ...right, more: 'x'.repeat(12 * 1024) }, { key: 'another' }),
      ])
        t.match(await get(`Bearer ${token}`), {
          status: 401,
          headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
          text: invalid,
        })
      const tooLong = await get(`Bearer ${'x'.repeat(64 * 1024)}`)
      t.match(tooLong, { status: 431, text: errorText('Request Header Fields Too Large') })
      const twice = await get(['Bearer x', `Bearer ${jwt({ ...right, ...claimsOf(bob) })}`])
      t.equal(twice.status, 401, 'the second of two headers does not get anybody in')
      const valid = `Bearer ${jwt({ ...right, ...claimsOf(bob) })}`
      t.equal((await get([valid, 'Bearer x'])).status, 401, 'nor does the first')
      t.equal((await get([valid, valid])).status, 401, 'nor two that are the same')
      t.equal((await get(`Bearer ${bob.token}`)).status, 200)
    },
  )
})
