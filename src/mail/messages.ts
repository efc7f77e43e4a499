import type { Config } from '../config/config.ts'
import type { MessageName, TokenPurpose } from '../database/tables.ts'
import { type RenderedMail, render } from './templates.ts'

/** What a mail is composed from. Its link is made when it is composed, and not stored. */
export interface MailContent {
  readonly message: MessageName
  readonly recipient: string
  readonly params?: MailParams
  /** When its cause happened; now where left out. */
  readonly created_at?: Date
  readonly token_id: string | null
  /** When the token expires; null where there is none, or one that was used or has expired. */
  readonly valid_until: Date | null
}

/** What the statement that queues a mail notes of its cause. */
export interface MailParams {
  /** A network address; null for an action of a superuser. */
  readonly from?: string | null
  /** When the account was created, if not with the mail. */
  readonly made_at?: string
  /** The network address that created the account, if another than `from`. */
  readonly made_from?: string | null
}

/** The mail's link would not work, so it is not sent. */
export class DeadLink extends Error {
  constructor() {
    super('Its link was used or revoked, or has expired')
    this.name = 'DeadLink'
  }
}

/** Path and purpose of each message's link. Other messages have none. */
const links: Partial<Record<MessageName, { path: string; purpose: TokenPurpose }>> = {
  welcome: { path: '/reset-password', purpose: 'reset_password' },
  recovery: { path: '/reset-password', purpose: 'reset_password' },
  account_unconfirmed: { path: '/reset-password', purpose: 'reset_password' },
  verification: { path: '/verify-email', purpose: 'verify_email' },
  new_address: { path: '/verify-email', purpose: 'verify_email' },
}

/** @returns undefined where a message has no link */
export const pathOfLink = (message: MessageName) => links[message]?.path

interface TokenSigner {
  /** The text of a one-time token from its id. */
  sign(purpose: TokenPurpose, id: string): string
}

export interface Messages {
  /** @throws DeadLink */
  compose(mail: MailContent): Promise<RenderedMail>
}

export function messages(config: Pick<Config, 'PROJECT_NAME' | 'linkBase'>, tokens: TokenSigner): Messages {
  return {
    async compose({ message, recipient, params, created_at, token_id, valid_until }) {
      const values: Record<string, string> = {
        project_name: config.PROJECT_NAME,
        email: recipient,
        ...causeOf(params, created_at),
      }
      const link = links[message]
      if (link) {
        if (token_id === null || valid_until === null) throw new DeadLink()
        values.link = `${config.linkBase}${link.path}?token=${tokens.sign(link.purpose, token_id)}`
        values.valid_until = readable(valid_until)
      }
      return render(message, values)
    },
  }
}

/** Placeholders for the cause of a mail: when it happened, and from where or by whom; the same of the account's creation. */
function causeOf({ from, made_at, made_from = from }: MailParams = {}, createdAt = new Date()) {
  return {
    at: readable(createdAt),
    from: network(from),
    how: how(from),
    made_at: readable(made_at === undefined ? createdAt : new Date(made_at)),
    made_from: network(made_from),
    made_how: how(made_from),
  }
}

const network = (address?: string | null) =>
  typeof address === 'string' ? `the network address ${address}` : 'an unknown network address'

const how = (address?: string | null) =>
  typeof address === 'string' ? `from ${network(address)}` : 'by an administrator'

const style = { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' } as const

/** "23 November 2026 at 10:15 UTC": correct whenever the mail is read, unlike "in one hour". */
const readable = (time: Date) => `${time.toLocaleString('en-GB', style)} UTC`
