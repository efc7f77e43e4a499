import plugin from 'fastify-plugin'
import type { Config } from '../config/config.ts'
import { deliverer } from './deliverer.ts'
import { type Messages, messages } from './messages.ts'
import { type Outbox, outbox } from './outbox.ts'
import { transport } from './transport.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly mail: Mail
  }
}

interface Mail extends Messages, Pick<Outbox, 'add' | 'backlog'> {
  /** Whether mails are sent at all. */
  readonly enabled: boolean
  /** To be called after a statement that queues a mail. Does not wait for it to be sent. */
  wake(): void
}

/** The outbox and its deliverer, as `app.mail`. No response waits for a mail server. */
export const mail = plugin(
  (app, { config, attemptMs }: { config: Config; attemptMs?: number | undefined }, done) => {
    const box = outbox(app.db, attemptMs)
    const { add, backlog } = box
    const composer = messages(config, app.auth.oneTimeTokens)
    const enabled = config.mail !== 'off'
    const delivery = deliverer(box, composer, transport(config), app.log, attemptMs)

    if (enabled)
      app.addHook('onReady', async () => void app.preparation.whenDone.then(delivery.wake, () => undefined))
    // As soon as a stop begins: mails that are being sent can be finished while the last requests are answered.
    app.stopping.addEventListener('abort', () => void delivery.stop())
    app.addHook('onClose', () => delivery.stop())
    app.decorate('mail', {
      ...composer,
      enabled,
      add,
      backlog,
      wake: () => enabled && delivery.wake(),
    } as Mail)
    done()
  },
  { name: 'mail', dependencies: ['auth', 'database', 'preparation', 'stopping'] },
)
