import type { Config } from '../config/config.ts'
import type { MessageName, TokenPurpose } from '../database/tables.ts'
import { type RenderedMail, render } from './templates.ts'

/** What a mail is about. Links are made here, at the moment they are needed, and stored nowhere. */
export interface MailContent {
  readonly message: MessageName
  readonly recipient: string
  /** What else it says, as its cause wrote it down: see `said`. */
  readonly params?: MailParams
  /** When what it tells of happened. */
  readonly created_at?: Date
  readonly token_id: string | null
  /** When the token ends; null where it has none, or none that lives. */
  readonly valid_until: Date | null
}

/** Network addresses and times as they are stored with a mail; a `from` that is null was a superuser's doing. */
export interface MailParams {
  readonly from?: string | null
  readonly made_at?: string
  /** Where the account was made, if that is another address than `from`. */
  readonly made_from?: string | null
}

/** A mail whose link would be dead: it is not worth sending any more. */
export class DeadLink extends Error {
  constructor() {
    super('Its link is used, replaced or expired')
    this.name = 'DeadLink'
  }
}

/** Where a message's link leads, and what its token is good for. Messages that are not here have no link. */
const links: Partial<Record<MessageName, { path: string; purpose: TokenPurpose }>> = {
  welcome: { path: '/reset-password', purpose: 'reset_password' },
  recovery: { path: '/reset-password', purpose: 'reset_password' },
  account_unconfirmed: { path: '/reset-password', purpose: 'reset_password' },
  verification: { path: '/verify-email', purpose: 'verify_email' },
  new_address: { path: '/verify-email', purpose: 'verify_email' },
}

/** @returns undefined where a message has no link */
export const pathOfLink = (message: MessageName) => links[message]?.path

/** Makes the text of a one-time token from its id. */
interface TokenSigner {
  sign(purpose: TokenPurpose, id: string): string
}

export interface Messages {
  /** The mail as it is sent. @throws DeadLink */
  compose(mail: MailContent): Promise<RenderedMail>
}

export function messages(config: Pick<Config, 'PROJECT_NAME' | 'linkBase'>, tokens: TokenSigner): Messages {
  return {
    async compose({ message, recipient, params, created_at, token_id, valid_until }) {
      const values: Record<string, string> = {
        project_name: config.PROJECT_NAME,
        email: recipient,
        ...said(params, created_at),
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

/** What templates may say of the cause: when, and from where or by whom. */
function said({ from, made_at, made_from = from }: MailParams = {}, createdAt = new Date()) {
  return {
    at: readable(createdAt),
    from: from ?? 'an unknown network address',
    how: how(from),
    made_at: readable(made_at === undefined ? createdAt : new Date(made_at)),
    made_from: made_from ?? 'an unknown network address',
    made_how: how(made_from),
  }
}

const how = (from: string | null | undefined) =>
  from === null || from === undefined ? 'by an administrator' : `from ${from}`

const style = { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' } as const

/** Such as "23 November 2026 at 10:15 UTC": right whenever the mail arrives, unlike "in one hour". */
const readable = (time: Date) => `${time.toLocaleString('en-GB', style)} UTC`
