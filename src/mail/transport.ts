import type { Transporter, createTransport as create } from 'nodemailer'
import type { Config } from '../config/config.ts'
import { envelopeForm } from '../text/email-address.ts'
import type { RenderedMail } from './templates.ts'

/** Sends mails by SMTP. */
export interface Transport {
  /**
   * @param deadline aborts the attempt, and closes its connection
   * @throws PermanentFailure where retrying is useless; any other error where it may work later
   */
  send(mail: OutgoingMail, deadline?: AbortSignal): Promise<void>
  close(): void
}

export interface OutgoingMail extends RenderedMail {
  /** Of the outbox. The Message-ID is made of it, so that a mail that is sent twice can be recognised as one. */
  readonly id: string
  readonly to: string
}

/** The server refused this mail permanently (RFC 5321, 4.2.1: replies that begin with 5). */
export class PermanentFailure extends Error {
  override readonly name = 'PermanentFailure'
}

/** @param from the sender's address, whose domain is that of the Message-ID (RFC 5322, 3.6.4) */
export const messageIdOf = (id: string, from: string) => `<${id}@${from.slice(from.lastIndexOf('@') + 1)}>`

/** Connections to the mail server: so many mails are sent at the same time. */
export const CONNECTIONS = 2

/** For servers that are silent. Those that are slow are stopped by the deadline of the attempt. */
const timeouts = {
  connectionTimeout: 10_000,
  greetingTimeout: 10_000,
  socketTimeout: 30_000,
  dnsTimeout: 5_000,
  socketCloseTimeout: 0, // nothing more is sent after an aborted attempt
}

/** Against automatic replies (RFC 3834, 5; Exchange heeds the second). */
const headers = { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' }

/** In local without SMTP_HOST, mails stay in the outbox, and the inbox pages show them. */
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

/** SMTP with implicit TLS, STARTTLS (required, so that nobody can strip it), or unencrypted. */
export function transport(config: MailConfig): Transport {
  if (config.mail !== 'smtp') return inbox
  const options = { ...serverOptions(config), pool: true, maxConnections: CONNECTIONS } as const
  let smtp: Promise<Transporter> | undefined
  const address = config.EMAILS_FROM_EMAIL!
  const from = { name: config.EMAILS_FROM_NAME ?? config.PROJECT_NAME, address }

  return {
    async send({ id, to, subject, html, text }, deadline) {
      const messageId = messageIdOf(id, address)
      const recipient = envelopeForm(to)
      try {
        const out = await (smtp ??= createTransport(options))
        if (!ASCII.test(recipient) && !(await supportsUnicode(config)))
          throw new PermanentFailure(NO_SMTPUTF8)
        await out.sendMail({
          messageId,
          from,
          to: { name: '', address: recipient }, // an object: a text with commas would be parsed as several addresses
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

/** nodemailer is loaded with the first mail, so that a start does not wait for it. */
async function createTransport(options: Parameters<typeof create>[0]) {
  const nodemailer = await import('nodemailer')
  return nodemailer.createTransport(options)
}

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
    // Mails include no files and nothing from URLs.
    disableFileAccess: true,
    disableUrlAccess: true,
  }
}

const ASCII = /^[!-~]*$/
const NO_SMTPUTF8 = 'The mail server accepts no addresses beyond ASCII (it lacks SMTPUTF8, RFC 6531)'

/** Whether the mail server announces SMTPUTF8: nodemailer sends such addresses in any case. */
async function supportsUnicode(config: MailConfig): Promise<boolean> {
  let isAnnounced = false
  const listen = ({ tnx }: { tnx?: string }, text: unknown) => {
    if (tnx === 'server') isAnnounced ||= /^250[ -]SMTPUTF8\b/im.test(String(text))
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
  return isAnnounced
}

/** Connects, starts TLS and authenticates as for a mail, without sending one. @throws the error of the failed step */
export async function tryServer(config: MailConfig, more: object = {}): Promise<void> {
  const smtp = await createTransport({ ...serverOptions(config), ...more })
  try {
    await smtp.verify()
  } finally {
    smtp.close()
  }
}

/** Whether this mail can't be sent. A wrong sender or password is for the operator to fix, and mails wait until then. */
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
