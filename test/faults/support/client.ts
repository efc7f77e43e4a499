import { performance } from 'node:perf_hooks'

/** An answer, or its absence: the connection broke before one came. */
export interface Reply {
  readonly status: number | undefined
  // oxlint-disable-next-line typescript/no-explicit-any -- bodies of every shape
  readonly body: any
  /** Milliseconds that it took, without those that this process was too late to send or to see it. */
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

/** This process has more to do than to wait for answers: how long it did not get to its loop, and until when. */
const stalls: { readonly end: number; readonly ms: number }[] = []
const TICK_MS = 5
/** What it finds to do after a stall is done before it is on time again. */
const NEAR_MS = 50
let ticked = performance.now()
const tick = () => {
  const now = performance.now()
  if (now - ticked > 2 * TICK_MS) stalls.push({ end: now, ms: now - ticked - TICK_MS })
  ticked = now
}
setInterval(tick, TICK_MS).unref()

/** Milliseconds from `start` until now, without a stall while the request was sent, and one while the answer lay there. */
function tookSince(start: number): number {
  const now = performance.now()
  const [atStart, atEnd] = [new Set<number>(), new Set([Math.max(0, now - ticked - TICK_MS)])]
  for (const { end, ms } of stalls.slice(-100)) {
    if (end > now - NEAR_MS) atEnd.add(ms)
    else if (end > start && end - ms < start + NEAR_MS) atStart.add(Math.min(ms, end - start))
  }
  return Math.max(0, now - start - Math.max(0, ...atStart) - Math.max(...atEnd))
}

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
    return { status: answer.status, body: isJson ? JSON.parse(text) : text, ms: tookSince(start) }
  } catch {
    return { status: undefined, body: undefined, ms: tookSince(start) }
  }
}
