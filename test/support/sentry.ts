import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import type { Test } from 'tap'

/** Takes what a Sentry client sends: the DSN to send it by, and the envelopes as they came. */
export async function startSentry(t: Test): Promise<{ dsn: string; envelopes: string[] }> {
  const envelopes: string[] = []
  const server = createServer((request, response) => {
    const zipped = request.headers['content-encoding'] === 'gzip'
    request.setEncoding(zipped ? 'latin1' : 'utf8')
    void text(request).then((body) => {
      envelopes.push(zipped ? gunzipSync(Buffer.from(body, 'latin1')).toString() : body)
      return response.end('{}')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { dsn: `http://public@127.0.0.1:${(server.address() as AddressInfo).port}/1`, envelopes }
}
