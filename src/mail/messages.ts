import type { LinkPurpose, MessageName } from '../database/tables.ts'
import { type BrandConfig, brandOf } from './brand.ts'
import { type MailParams, causeOf, readable } from './cause.ts'
import { type RenderedMail, render, renderWithoutLink } from './templates.ts'

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

/** The mail's link would not work, so it is not sent. */
export class DeadLink extends Error {
  constructor() {
    super('Its link was used or revoked, or has expired')
    this.name = 'DeadLink'
  }
}

/** Path and purpose of each message's link. Other messages have none. */
const links: Partial<Record<MessageName, { path: string; purpose: LinkPurpose }>> = {
  welcome: { path: '/reset-password', purpose: 'reset_password' },
  recovery: { path: '/reset-password', purpose: 'reset_password' },
  account_unconfirmed: { path: '/reset-password', purpose: 'reset_password' },
  verification: { path: '/verify-email', purpose: 'verify_email' },
  new_address: { path: '/verify-email', purpose: 'verify_email' },
  own_address_changed: { path: '/undo-email-change', purpose: 'undo_email_change' },
  address_restored: { path: '/reset-password', purpose: 'reset_password' },
}

/** Whether it was sent with a link that was used or revoked, or has expired since. */
export const hasDeadLink = ({ message, valid_until }: Pick<MailContent, 'message' | 'valid_until'>) =>
  pathOfLink(message) !== undefined && valid_until === null

/** @returns undefined where a message has no link */
export const pathOfLink = (message: MessageName) => links[message]?.path

interface TokenSigner {
  /** The text of a one-time token from its id. */
  sign(purpose: LinkPurpose, id: string): string
}

export interface Messages {
  /** @throws DeadLink */
  compose(mail: MailContent): Promise<RenderedMail>
  /** The same of a mail whose link no longer works: with words in its place, and nothing to press. */
  composeWithoutLink(mail: MailContent): Promise<RenderedMail>
}

export function messages(config: BrandConfig, tokens: TokenSigner): Messages {
  const brand = brandOf(config)
  const valuesOf = ({ recipient, params, created_at }: MailContent) => ({
    ...brand,
    email: recipient,
    ...causeOf(params, created_at),
  })
  return {
    async compose(mail) {
      const { message, token_id, valid_until } = mail
      const link = links[message]
      if (!link) return render(message, valuesOf(mail))
      if (token_id === null || valid_until === null) throw new DeadLink()
      return render(message, {
        ...valuesOf(mail),
        link: `${config.linkBase}${link.path}?token=${tokens.sign(link.purpose, token_id)}`,
        valid_until: readable(valid_until),
      })
    },
    composeWithoutLink: (mail) =>
      renderWithoutLink(mail.message, { ...valuesOf(mail), valid_until: 'it is used or expires' }),
  }
}
