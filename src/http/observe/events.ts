import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'

/** What happens to accounts, for whoever watches over them (OWASP ASVS 16.3). README's table says when each is logged. */
export type SecurityEvent =
  | 'sign_in'
  | 'sign_out'
  | 'refresh_reuse'
  | 'session_ended'
  | 'password_changed'
  | 'address_changed'
  | 'address_verified'
  | 'recovery_requested'
  | 'recovery_link_shown'
  | 'user_registered'
  | 'user_created'
  | 'user_updated'
  | 'user_deleted'

/** Requests that are refused: strangers can cause any number of them, so that they are logged within bounds. */
export type Refusal = 'token_refused' | 'link_refused' | 'access_denied' | 'limit_reached'

/** Ids alone: no address, name, token or password. */
interface About {
  /** Whose account it is, where that is known. */
  readonly user_id?: string | undefined
  readonly session_id?: string | undefined
  /** Why it failed. Without one, it succeeded. */
  readonly reason?: string
  /** Names of the fields that have other values now. */
  readonly changed?: readonly string[]
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Logs a security event: who (`actor_id`, where somebody is signed in), from where, to whose account, how it went. */
    record(event: SecurityEvent, about?: About): void
    /** Logs that it is refused, or counts it where that was logged often enough in this minute. */
    recordRefusal(refusal: Refusal, reason: string): void
    /** Who signed in by this request. */
    signedIn: { id: string; session_id: string } | null
  }
}

/** Security events, one shape for all: `{event, outcome, actor_id, user_id, session_id, reason, ip}` and the request's id. */
export const events = plugin(
  (app, _options, done) => {
    const refusals = boundedRefusals(app.log)
    app.decorateRequest('signedIn', null)
    app.decorateRequest('record', function (this: FastifyRequest, event: SecurityEvent, about: About = {}) {
      const outcome = about.reason === undefined ? 'success' : 'failure'
      const { user_id, session_id } = about
      if (event === 'sign_in' && user_id !== undefined && session_id !== undefined)
        this.signedIn = { id: user_id, session_id }
      this.log.info(
        { event, outcome, actor_id: actorOf(this), user_id: actorOf(this), ip: this.ip, ...about },
        'security event',
      )
    })
    app.decorateRequest('recordRefusal', function (this: FastifyRequest, event: Refusal, reason: string) {
      const actor_id = actorOf(this)
      if (!refusals.mayLog(event, actor_id ?? this.network)) return
      const route = this.route.url
      this.log.info({ event, outcome: 'failure', actor_id, reason, route, ip: this.ip }, 'security event')
    })
    app.addHook('onClose', async () => refusals.endWindow())
    done()
  },
  { name: 'events', dependencies: ['auth', 'route', 'throttle'] },
)

/** The guard of the public scope sets no user. */
const actorOf = ({ currentUser }: FastifyRequest) => currentUser?.id

const WINDOW_MS = 60_000
/** Lines of one kind in that time: about one user or network, and about all together. */
const LINES_EACH = 10
const LINES_IN_ALL = 100

/** Keeps a flood of refusals from being a flood of log lines: what is beyond is told as a number, `unlogged`. */
function boundedRefusals(log: FastifyBaseLogger) {
  const lines = new Map<string, number>()
  const unlogged = new Map<Refusal, number>()
  let window: NodeJS.Timeout | undefined

  const added = <K>(counts: Map<K, number>, key: K) => {
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    return count
  }

  function mayLog(event: Refusal, who: string): boolean {
    window ??= setTimeout(endWindow, WINDOW_MS).unref()
    const own = `${event} ${who}`
    // In this order: a network that has its lines takes none from the others.
    if ((lines.get(own) ?? 0) < LINES_EACH && added(lines, event) <= LINES_IN_ALL) {
      added(lines, own)
      return true
    }
    added(unlogged, event)
    return false
  }

  function endWindow() {
    clearTimeout(window)
    window = undefined
    for (const [event, count] of unlogged)
      log.info({ event, outcome: 'failure', unlogged: count }, 'security events that were not logged')
    lines.clear()
    unlogged.clear()
  }

  return { mayLog, endWindow }
}
