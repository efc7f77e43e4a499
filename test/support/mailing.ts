import { sql } from 'drizzle-orm'
import type { Test } from 'tap'
import type { Dependencies } from '../../src/app.ts'
import { cheapHashing } from './cheap-hashing.ts'
import { type LogLines, collectingLogger } from './log-lines.ts'
import { type MailServer, startMailServer } from './mail-server.ts'
import { type Service, address, startService } from './service.ts'

/** A mail in the outbox. */
export interface Row {
  readonly id: string
  readonly attempts: number
  /** Seconds. */
  readonly due_in: number
  readonly sent: boolean
  readonly parked: boolean
  readonly last_error: string | null
}

export interface Mailing {
  readonly service: Service
  readonly server: MailServer
  readonly log: LogLines
  /** Puts a test mail in, to an address that nobody has unless one is given. */
  queue(email?: string): Promise<string>
  /** The newest mail to an address. */
  rowOf(email: string): Promise<Row>
  /** Makes the time for another try come. */
  due(): Promise<void>
  /** Runs something, and waits until the deliverer has said this of one more mail. */
  until<T>(text: RegExp, run: () => Promise<T>): Promise<T>
}

/** A service and the mail server that it sends by. */
export async function startMailing(
  t: Test,
  dependencies: Dependencies = {},
  env: Record<string, string> = {},
): Promise<Mailing> {
  const server = await startMailServer(t)
  const log = await collectingLogger()
  const service = await startService(t, { ...server.env, ...env }, { ...dependencies, logger: log.logger })
  cheapHashing(service)
  const { admin, app, call, rows } = service
  return {
    service,
    server,
    log,
    async queue(email = address()) {
      await call('POST', `/utils/test-email/?email_to=${email}`, { as: admin })
      return email
    },
    async rowOf(email) {
      const [row] = await rows<Row>(sql`
        select id, attempts, extract(epoch from next_attempt_at - now())::float as due_in, last_error,
          sent_at is not null as sent, parked_at is not null as parked
        from emails where recipient = ${email} order by created_at desc, id limit 1`)
      if (!row) throw new Error(`There is no mail to ${email}`)
      return row
    },
    async due() {
      await rows(sql`update emails set next_attempt_at = now() where sent_at is null and parked_at is null`)
      app.mail.wake()
    },
    async until(text, run) {
      const before = log.count(text)
      const result = await run()
      await log.told(text, before + 1)
      return result
    },
  }
}
