import type { FastifyRequest } from 'fastify'
import plugin from 'fastify-plugin'

type Route = FastifyRequest['routeOptions']

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * The route that was found, its `routeOptions` kept. Fastify makes an object of twelve fields each time that it is
     * asked for them, and log, guards and parsers all ask. (Where the handler for what is not found takes over, these
     * become its own; this stays.)
     */
    readonly route: Route
    /** Where it is kept. */
    routeAsked: Route | null
  }
}

/** What is known of the route that a request is for, as `request.route`. */
export const route = plugin(
  (app, _options, done) => {
    app.decorateRequest('routeAsked', null)
    app.decorateRequest('route', {
      getter(this: FastifyRequest) {
        return (this.routeAsked ??= this.routeOptions)
      },
    })
    done()
  },
  { name: 'route' },
)
