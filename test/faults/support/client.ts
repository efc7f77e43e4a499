import { performance } from 'node:perf_hooks'

/** An answer, or its absence: the connection broke before one came. */
export interface Reply {
  readonly status: number | undefined
  // oxlint-disable-next-line typescript/no-explicit-any -- bodies of every shape
  readonly body: any
  /** Milliseconds that it took. */
  readonly ms: number
}

export interface Ask {
  readonly method?: string
  readonly token?: string | undefined
  readonly body?: unknown
  readonly form?: Record<string, string>
}

/** Nobody waits longer; a request that takes so long counts as not answered. */
const PATIENCE_MS = 15_000

/** Sends one request; it is never sent again. */
export async function ask(url: string, { method = 'GET', token, body, form }: Ask = {}): Promise<Reply> {
  const start = performance.now()
  try {
    const answer = await fetch(url, {
      method,
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE_MS),
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(form && { body: new URLSearchParams(form) }),
    })
    const text = await answer.text()
    const isJson = answer.headers.get('content-type')?.includes('json') ?? false
    return { status: answer.status, body: isJson ? JSON.parse(text) : text, ms: performance.now() - start }
  } catch {
    return { status: undefined, body: undefined, ms: performance.now() - start }
  }
}
