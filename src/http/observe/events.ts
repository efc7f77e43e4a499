import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'

/** What the audit has rows of (accounts/audit/), and the log lines. Each is written by the statement that is its cause. */
export const auditEvents = [
  'sign_in',
  'second_factor_asked',
  'sign_out',
  'reauthenticated',
  'refresh_reuse',
  'session_ended',
  'password_changed',
  'profile_changed',
  'address_change_requested',
  'address_changed',
  'address_verified',
  'address_restored',
  'factor_enrolled',
  'factor_added',
  'factor_removed',
  'factors_reset',
  'recovery_codes_made',
  'identity_added',
  'identity_removed',
  'passkey_added',
  'passkey_removed',
  'account_exported',
  'api_key_created',
  'api_key_deleted',
  'recovery_requested',
  'recovery_link_shown',
  'verification_requested',
  'user_registered',
  'user_created',
  'user_updated',
  'user_deleted',
] as const

/** Security events (OWASP ASVS 16.3); docs/operations.md says when each is logged. */
export type AuditEvent = (typeof auditEvents)[number]

/** Refused requests. Anybody can cause any number of them, so their log lines are limited. */
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

type Outcome = 'success' | 'failure'

declare module 'fastify' {
  interface FastifyInstance {
    /** Calls `listener` for each event and refusal, those that are not logged included. */
    readonly onSecurityEvent: (listener: (event: string, outcome: Outcome) => void) => void
  }
  interface FastifyRequest {
    /** Logs a security event: who (`actor_id`, if signed in), from which address, on whose account, and the outcome. */
    record(event: AuditEvent, about?: About): void
    /** Logs a refusal, or only counts it beyond the limit of lines per minute. */
    recordRefusal(refusal: Refusal, reason: string): void
    /** The user that this request signed in. */
    signedIn: { id: string; session_id: string } | null
  }
}

/** Security events, one shape for all: `{event, outcome, actor_id, user_id, session_id, reason, ip}` and the request's id. */
export const events = plugin(
  (app, _options, done) => {
    const refusals = boundedRefusals(app.log)
    const listeners: ((event: string, outcome: Outcome) => void)[] = []
    const tell = (event: string, outcome: Outcome) => {
      for (const listener of listeners) listener(event, outcome)
    }
    app.decorate('onSecurityEvent', (listener) => void listeners.push(listener))
    app.decorateRequest('signedIn', null)
    app.decorateRequest('record', function (this: FastifyRequest, event: AuditEvent, about: About = {}) {
      const outcome = about.reason === undefined ? 'success' : 'failure'
      const { user_id, session_id } = about
      if (event === 'sign_in' && user_id !== undefined && session_id !== undefined)
        this.signedIn = { id: user_id, session_id }
      tell(event, outcome)
      this.log.info(
        { event, outcome, actor_id: actorOf(this), user_id: actorOf(this), ip: this.ip, ...about },
        'security event',
      )
    })
    app.decorateRequest('recordRefusal', function (this: FastifyRequest, event: Refusal, reason: string) {
      const actor_id = actorOf(this)
      tell(event, 'failure')
      if (!refusals.mayLog(event, actor_id ?? this.network)) return
      const route = this.routeOptions.url
      this.log.info({ event, outcome: 'failure', actor_id, reason, route, ip: this.ip }, 'security event')
    })
    app.addHook('onClose', async () => refusals.endWindow())
    done()
  },
  { name: 'events', dependencies: ['auth', 'throttle'] },
)

const actorOf = ({ currentUser }: FastifyRequest) => currentUser?.id

const WINDOW_MS = 60_000
/** Most lines of one kind per window: for one user or network, and in all. */
const LINES_EACH = 10
const LINES_IN_ALL = 100

/** Limits log lines about refusals; those left out are logged as a number, `unlogged`, at the end of the window. */
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
    // A network beyond its own limit uses up none of the common one.
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
