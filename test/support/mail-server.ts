import { EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { callbackify } from 'node:util'
import { type ParsedMail, simpleParser } from 'mailparser'
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server'
import { freePort } from './postgres.ts'

/** A mail as it came in: what the envelope says, and what is inside. */
export interface Received extends ParsedMail {
  readonly envelope: {
    readonly from: string
    readonly to: string[]
    readonly secure: boolean
    readonly user: unknown
  }
}

/** Steps of a conversation at which the server can be told to refuse, or to keep silent. */
type Step = 'connect' | 'from' | 'to' | 'data'

export interface MailServer {
  readonly port: number
  readonly mails: Received[]
  /** Settings of a service that sends by this server. */
  readonly env: Record<string, string>
  /** What happens at a step: an error is the answer, and a promise is waited for. */
  answer: (step: Step, address: string) => Error | undefined | Promise<Error | undefined>
  /** Resolves when so many mails have come in, since the start. */
  arrived(count: number): Promise<Received[]>
  close(): Promise<void>
}

/** The reply of a server that refuses, such as 451 or 550 (RFC 5321, 4.2). */
export const reply = (responseCode: number, text: string) => Object.assign(new Error(text), { responseCode })

/** A real SMTP server, on a port of its own or a given one; it is closed when the test ends. */
export async function startMailServer(
  t: { teardown(close: () => Promise<void>): unknown },
  options: SMTPServerOptions = {},
  port?: number,
): Promise<MailServer> {
  const mails: Received[] = []
  const events = new EventEmitter()
  /** Hands what a step comes to over in the way of smtp-server. */
  const at = (work: () => ReturnType<MailServer['answer']>, done: (error?: Error | null) => void) =>
    callbackify(async () => work())((fault, refusal) => done(fault ?? refusal ?? null))
  const receive = async (stream: Readable, { envelope, secure, user }: SMTPServerSession) => {
    const mail = await simpleParser(stream)
    const from = envelope.mailFrom ? envelope.mailFrom.address : ''
    const to = envelope.rcptTo.map(({ address }) => address)
    const refusal = await mailServer.answer('data', to.join())
    if (refusal) return refusal
    mails.push(Object.assign(mail, { envelope: { from, to, secure, user } }))
    events.emit('mail')
    return undefined
  }
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    closeTimeout: 50,
    onConnect: (_session, done) => at(() => mailServer.answer('connect', ''), done),
    onMailFrom: ({ address }, _session, done) => at(() => mailServer.answer('from', address), done),
    onRcptTo: ({ address }, _session, done) => at(() => mailServer.answer('to', address), done),
    onData: (stream, session, done) => at(() => receive(stream, session), done),
    ...options,
  })
  server.on('error', () => undefined) // clients that hang up
  // One that it may have again once it was closed.
  server.listen(port ?? (await freePort()), '127.0.0.1')
  await once(server.server, 'listening')
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()))
  t.teardown(close)
  const own = (server.server.address() as AddressInfo).port
  const mailServer: MailServer = {
    port: own,
    mails,
    env: {
      SMTP_HOST: '127.0.0.1',
      SMTP_PORT: String(own),
      SMTP_TLS: 'false',
      EMAILS_FROM_EMAIL: 'hello@example.com',
    },
    answer: () => undefined,
    async arrived(count) {
      while (mails.length < count) await once(events, 'mail')
      return mails
    },
    close,
  }
  return mailServer
}
