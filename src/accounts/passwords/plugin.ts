import type { FastifyReply, FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'
import type { Share, Turn } from './turns.ts'
import type { Config } from '../../config/config.ts'
import { CLIENT_CLOSED } from '../../contract/errors.ts'
import { hashingShares as part } from '../../config/limits.ts'
import { siteOf } from '../../text/network.ts'

declare module 'fastify' {
  interface FastifyReply {
    /**
     * The queue's share keys for this request (network, account), and a signal that is aborted once the client has left or
     * was answered.
     */
    turn(account?: string): Turn
    /** Controller of that signal; null until `turn` is called. */
    gone: AbortController | null
  }
}

/** `reply.turn()`, for the queue of hashes (turns.ts). */
export const turns = plugin(
  (app, { config }: { config: Config }, done) => {
    app.decorateReply('gone', null)
    app.decorateReply('turn', function (this: FastifyReply, account?: string) {
      this.gone ??= new AbortController()
      if (this.request.ended) abort(this)
      const shares = config.RATE_LIMIT_ENABLED ? sharesOf(this.request, account) : []
      return { shares, gone: this.gone.signal }
    })
    // Not the response's `close`: of several pipelined responses Node emits it for the first only.
    app.onEnded((_request, reply) => abort(reply))
    done()
  },
  { name: 'turns', dependencies: ['ending', 'throttle'] },
)

function sharesOf({ network }: FastifyRequest, account: string | undefined): Share[] {
  const site = siteOf(network)
  return [
    { key: network, part: part.network },
    ...(site === undefined ? [] : [{ key: site, part: part.site }]),
    ...(account === undefined ? [] : [{ key: `account ${account}`, part: part.account }]),
  ]
}

const abort = ({ gone }: FastifyReply) => gone?.abort(CLIENT_CLOSED)
