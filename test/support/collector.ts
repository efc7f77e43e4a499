import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import type { Test } from 'tap'

export interface Span {
  name: string
  traceId: string
  spanId: string
  parentSpanId?: string
  attributes: { key: string; value: object }[]
}

/** A collector, as OTLP over HTTP has it, and the spans that it was sent. */
export async function startCollector(
  t: Test,
): Promise<{ endpoint: string; spans: Span[]; text: () => string }> {
  const spans: Span[] = []
  const bodies: unknown[] = []
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      bodies.push(body)
      const { resourceSpans } = body as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] }
      spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)))
      return response.writeHead(request.url === '/v1/traces' ? 200 : 404).end('{}')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return { endpoint: `http://127.0.0.1:${port}/`, spans, text: () => JSON.stringify(bodies) }
}
