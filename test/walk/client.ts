import { Agent, request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { isMap } from './shapes.ts'

export interface Call {
  /** Whose token goes along. */
  as?: { token: string } | undefined
  json?: unknown
  form?: Record<string, string>
  /** A body as it stands, with its content type. */
  body?: string
  type?: string
  /** Sent without a Content-Length. */
  chunked?: boolean
  headers?: Record<string, string>
}

export interface Answer {
  /** Method and path, to tell which call it was. */
  call: string
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** The body where it is JSON. */
  body: unknown
}

/** The service cannot be reached: nothing else can be said about it. */
export class Unreachable extends Error {}

const PATIENCE_MS = 30_000

/** Plain node:http, so that paths, headers and empty bodies go out as they are written, and redirects show. */
export class Client {
  /** Every answer since the row began. */
  log: Answer[] = []
  /** Paths of the rows that the walk has made in the service. */
  readonly made = new Set<string>()
  readonly base: URL
  #agent = new Agent({ keepAlive: true })

  constructor(base: URL) {
    this.base = base
  }

  /** A call under /api/v1. */
  api = async (method: string, path: string, call: Call = {}) => this.send(method, `/api/v1${path}`, call)

  send = async (method: string, path: string, call: Call = {}): Promise<Answer> => {
    const answer = await this.#exchange(method, path, call)
      .catch((error: NodeJS.ErrnoException) => {
        // A kept connection that the service has closed meanwhile: once more, on a fresh one.
        if (error.code === 'ECONNRESET' || error.code === 'EPIPE')
          return this.#exchange(method, path, call, false)
        throw error
      })
      .catch((error: NodeJS.ErrnoException) => {
        throw new Unreachable(
          `no answer to ${method} ${this.base.origin}${path.slice(0, 80)}: ${error.code ?? error.message}`,
        )
      })
    this.log.push(answer)
    const list = /^\/api\/v1\/(?:private\/)?(users|items)(\/signup)?\/?$/.exec(path)?.[1]
    if (list && method === 'POST' && answer.status < 300 && isMap(answer.body))
      this.made.add(`/${list}/${String(answer.body.id)}`)
    return answer
  }

  #exchange(method: string, path: string, call: Call, keep = true) {
    const { payload, headers } = outgoing(call)
    const { hostname: host, port } = this.base
    const options = {
      host: host.replace(/^\[|\]$/g, ''),
      port,
      method,
      path,
      headers,
      agent: keep ? this.#agent : false,
    }
    return new Promise<Answer>((resolve, reject) => {
      const sent = request({ ...options, timeout: PATIENCE_MS }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const status = response.statusCode ?? 0
          resolve({
            call: `${method} ${path.slice(0, 120)}`,
            status,
            headers: response.headers,
            text,
            body: parsed(text),
          })
        })
      })
      sent.on('timeout', () => sent.destroy(new Error(`nothing for ${PATIENCE_MS / 1000} s`)))
      sent.on('error', reject)
      sent.end(payload)
    })
  }

  /** Bytes that no HTTP client would send, and all that comes back until the service closes. */
  raw = async (bytes: string) =>
    new Promise<string>((resolve) => {
      let came = ''
      const socket = connect(Number(this.base.port || 80), this.base.hostname.replace(/^\[|\]$/g, ''), () =>
        socket.write(bytes),
      )
      socket.setTimeout(5_000, () => socket.destroy())
      socket.on('data', (chunk) => (came += chunk.toString()))
      socket.on('error', () => socket.destroy())
      socket.on('close', () => resolve(came))
    })

  close() {
    this.#agent.destroy()
  }
}

function outgoing({ as, json, form, body, type, chunked, headers: extra }: Call) {
  const payload =
    json === undefined ? (form ? new URLSearchParams(form).toString() : body) : JSON.stringify(json)
  const guess = json === undefined ? form && 'application/x-www-form-urlencoded' : 'application/json'
  const headers: OutgoingHttpHeaders = { ...extra }
  if (as) headers.authorization = `Bearer ${as.token}`
  if (type ?? guess) headers['content-type'] = type ?? guess
  if (chunked) headers['transfer-encoding'] = 'chunked'
  else if (payload !== undefined) headers['content-length'] = Buffer.byteLength(payload)
  return { payload, headers }
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
