import plugin from 'fastify-plugin'
import type { Config } from '../config/config.ts'
import type { Tag } from '../contract/document.ts'
import { deadline } from './deadline.ts'
import { errors } from './errors.ts'
import { hosts } from './hosts.ts'
import { bodies } from './input/bodies.ts'
import { expectations } from './input/expectations.ts'
import { framing } from './input/framing.ts'
import { validation } from './input/validation.ts'
import { throttle } from './limits/throttle.ts'
import { methods } from './methods.ts'
import { ending } from './observe/ending.ts'
import { reporting } from './observe/reporting.ts'
import { requestId } from './observe/request-id.ts'
import { tracing } from './observe/tracing.ts'
import { openapi } from './openapi.ts'
import { preflights } from './preflights.ts'
import { refusedOrigins } from './refused-origins.ts'
import { security } from './security.ts'
import { settings } from './settings.ts'
import { stopping } from './stopping.ts'

/**
 * What every request passes before its route's own guard, in this order. Hooks of Fastify run in the order in which
 * their plugins are registered, so the order is part of the contract: what refuses a request stands behind what counts,
 * traces and answers it.
 */
export const http = plugin(
  async (app, { config, tags }: { config: Config; tags: readonly Tag[] }) => {
    await app.register(settings, { config })

    // First, so that every request is seen to its end, whatever refuses it.
    await app.register(ending)
    await app.register(tracing, { config })
    await app.register(requestId)
    await app.register(stopping)

    // Before the first route (that of preflights), as Fastify gives a route the error handler of that moment.
    await app.register(reporting, { config })
    await app.register(errors)

    // Headers before refusals, so that a browser may read why it was refused; the throttle before anything that costs.
    await app.register(security, { config })
    await app.register(throttle, { config })
    await app.register(expectations)
    await app.register(framing)
    await app.register(hosts, { config })
    await app.register(refusedOrigins, { config })
    await app.register(preflights)
    await app.register(methods)

    // What is sent, and what is answered. The body is read after the guards of the route.
    await app.register(bodies)
    await app.register(deadline)
    await app.register(validation)
    await app.register(openapi, { config, tags })
  },
  { name: 'http' },
)
