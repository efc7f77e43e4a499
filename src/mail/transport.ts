import type { Transporter, createTransport as create } from 'nodemailer'
import type { Config } from '../config/config.ts'
import type { RenderedMail } from './templates.ts'

/** The way out. */
export interface Transport {
  /**
   * @param deadline ends the attempt as a whole, its connection with it
   * @throws PermanentFailure where this mail can't be sent, any other error where it may work later
   */
  send(mail: OutgoingMail, deadline?: AbortSignal): Promise<void>
  close(): void
}

export interface OutgoingMail extends RenderedMail {
  /** The outbox's id: the Message-ID is made of it, so that a mail sent twice is seen to be one. */
  readonly id: string
  readonly to: string
}

/** The server refused this mail for good (RFC 5321, 4.2.1: replies that begin with 5). */
export class PermanentFailure extends Error {
  override readonly name = 'PermanentFailure'
}

/** @param from the sender's address: a Message-ID ends in its domain (RFC 5322, 3.6.4) */
export const messageIdOf = (id: string, from: string) => `<${id}@${from.slice(from.lastIndexOf('@') + 1)}>`

/** Mails that are sent at a time. */
export const CONNECTIONS = 2

/** A server that keeps silent is given up before the deadline of the attempt, which bounds one that is slow. */
const timeouts = {
  connectionTimeout: 10_000,
  greetingTimeout: 10_000,
  socketTimeout: 30_000,
  dnsTimeout: 5_000,
  socketCloseTimeout: 0, // an attempt that was given up sends nothing more
}

/** Out-of-office programs answer no such mail (RFC 3834, 5; Exchange asks for the second). */
const headers = { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' }

/** Keeps mails where they are: in local without SMTP_HOST, people look at them in the outbox. */
const inbox: Transport = {
  send: () => Promise.resolve(),
  close: () => undefined,
}

export type MailConfig = Pick<
  Config,
  | 'mail'
  | 'PROJECT_NAME'
  | 'SMTP_HOST'
  | 'SMTP_PORT'
  | 'SMTP_USER'
  | 'SMTP_PASSWORD'
  | 'SMTP_TLS'
  | 'SMTP_SSL'
  | 'EMAILS_FROM_EMAIL'
  | 'EMAILS_FROM_NAME'
>

/** SMTP with TLS from the first byte, STARTTLS (required, so that nobody in between can strip it), or plain. */
export function transport(config: MailConfig): Transport {
  if (config.mail !== 'smtp') return inbox
  const options = { ...serverOptions(config), pool: true, maxConnections: CONNECTIONS } as const
  let smtp: Promise<Transporter> | undefined
  const address = config.EMAILS_FROM_EMAIL!
  const from = { name: config.EMAILS_FROM_NAME ?? config.PROJECT_NAME, address }

  return {
    async send({ id, to, subject, html, text }, deadline) {
      const messageId = messageIdOf(id, address)
      try {
        // As an object, an address is one address, whatever characters it has.
        const out = await (smtp ??= createTransport(options))
        if (!IN_ASCII.test(to) && !(await takesUnicode(config))) throw new PermanentFailure(NO_SMTPUTF8)
        await out.sendMail({
          messageId,
          from,
          to: { name: '', address: to },
          subject,
          html,
          text,
          headers,
          ...(deadline && { signal: deadline }),
        })
      } catch (error) {
        if (error instanceof PermanentFailure) throw error
        throw isPermanent(error) ? new PermanentFailure((error as Error).message) : error
      }
    },
    close: () => void smtp?.then((out) => out.close()),
  }
}

/** nodemailer is loaded for the first mail: a start does not wait for it. */
async function createTransport(options: Parameters<typeof create>[0]) {
  const nodemailer = await import('nodemailer')
  return nodemailer.createTransport(options)
}

/** How the mail server is spoken to. */
function serverOptions(config: MailConfig) {
  const { SMTP_HOST: host, SMTP_USER: user, SMTP_PASSWORD: pass = '' } = config
  return {
    ...timeouts,
    host: host!,
    port: config.SMTP_PORT,
    secure: config.SMTP_SSL,
    requireTLS: !config.SMTP_SSL && config.SMTP_TLS,
    ignoreTLS: !config.SMTP_SSL && !config.SMTP_TLS,
    ...(user !== undefined && { auth: { user, pass } }),
    // Nothing in a mail comes from a file or from elsewhere.
    disableFileAccess: true,
    disableUrlAccess: true,
  }
}

const IN_ASCII = /^[!-~]*$/
const NO_SMTPUTF8 = 'The mail server takes no addresses in other scripts than ASCII (SMTPUTF8, RFC 6531)'

/** Whether the mail server says so; nodemailer would send such an address in any case. */
async function takesUnicode(config: MailConfig): Promise<boolean> {
  let said = false
  const listen = ({ tnx }: { tnx?: string }, text: unknown) => {
    if (tnx === 'server') said ||= /^250[ -]SMTPUTF8\b/im.test(String(text))
  }
  const silent = () => undefined
  const logger = {
    level: silent,
    trace: silent,
    debug: listen,
    info: silent,
    warn: silent,
    error: silent,
    fatal: silent,
  }
  await tryServer(config, { logger, transactionLog: true })
  return said
}

/** Goes as far as a mail would, without one: connects, STARTTLS, signs in. @throws what the server refuses with */
export async function tryServer(config: MailConfig, more: object = {}): Promise<void> {
  const smtp = await createTransport({ ...serverOptions(config), ...more })
  try {
    await smtp.verify()
  } finally {
    smtp.close()
  }
}

/** About this mail, that is: what is wrong with the sender or the password is the operator's to mend, and mails wait. */
function isPermanent(error: unknown): boolean {
  const {
    code,
    responseCode = 0,
    command,
  } = error as { code?: string; responseCode?: number; command?: string }
  const aboutAuthentication = responseCode >= 530 && responseCode <= 539 // RFC 4954, 6
  return (
    (code === 'EENVELOPE' || code === 'EMESSAGE') &&
    responseCode >= 500 &&
    !aboutAuthentication &&
    command !== 'MAIL FROM'
  )
}
