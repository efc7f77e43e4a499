import plugin from 'fastify-plugin'
import type { Config } from '../config.ts'
import { deliverer } from '../mail/deliverer.ts'
import { type Messages, messages } from '../mail/messages.ts'
import { type Outbox, outbox } from '../mail/outbox.ts'
import { transport } from '../mail/transport.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly mail: Mail
  }
}

interface Mail extends Pick<Messages, 'compose'>, Pick<Outbox, 'add'> {
  /** Whether mails are made at all. */
  readonly enabled: boolean
  /** To be called after a statement that put a mail into the outbox; does not wait for it to be sent. */
  wake(): void
}

/** The outbox and its deliverer, as `app.mail`. No answer waits for a mail server. */
export const mail = plugin(
  (app, { config }: { config: Config }, done) => {
    const { add, ...box } = outbox(app.db)
    const { compose } = messages(config, app.auth.oneTimeTokens)
    const enabled = config.mail !== 'off'
    const delivery = deliverer({ add, ...box }, { compose }, transport(config), app.log)

    if (enabled) app.addHook('onReady', async () => delivery.wake())
    app.addHook('onClose', () => delivery.stop())
    app.decorate('mail', { enabled, add, compose, wake: () => enabled && delivery.wake() } as Mail)
    done()
  },
  { name: 'mail', dependencies: ['auth', 'database'] },
)
