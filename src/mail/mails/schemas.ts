import { Type } from '@sinclair/typebox'
import { Id, Text, Time, component, listQuery, operation, pageOf } from '../../contract/contract.ts'
import { MailNotFound, MailNotParked, ServiceUnavailable } from '../../contract/errors.ts'

const state = (description: string) =>
  Type.Unsafe<'waiting' | 'sent' | 'parked'>({
    type: 'string',
    enum: ['waiting', 'sent', 'parked'],
    description,
    examples: ['parked'],
  })
const timeOrNull = (description: string) =>
  Type.Unsafe<Date | null>({ type: ['string', 'null'], format: 'date-time', description, examples: [null] })

export const MailPublic = component(
  'MailPublic',
  Type.Object({
    id: { ...Id, description: 'Its Message-ID begins with this.' },
    message: Text(255, 0, { description: 'Which message it is.', examples: ['recovery'] }),
    recipient: Text(255, 0, { examples: ['ada@example.com'] }),
    state: state('`waiting` for its next try, `sent`, or `parked`: given up until it is sent again.'),
    tries: Type.Integer({ description: 'How often it was tried.', examples: [1] }),
    last_error: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      description: 'Why the last try failed.',
      examples: ['550 no such user here'],
    }),
    created_at: Time,
    next_try_at: timeOrNull('When it is tried next, while it waits.'),
    sent_at: timeOrNull('When the mail server took it.'),
  }),
)
export const MailsPublic = component('MailsPublic', pageOf(MailPublic))

const params = Type.Object({ id: { ...Id, description: 'Which mail.' } })

export const readMails = operation({
  operationId: 'mails-read_mails',
  summary: 'List mails',
  description: 'Newest first; never what is in them, nor their links.',
  querystring: Type.Object({
    ...listQuery('the recipient', ['created_at']).properties,
    state: Type.Optional(state('Only mails of this state.')),
  }),
  permission: 'mails:read',
  response: { 200: MailsPublic },
})
export const readMail = operation({
  operationId: 'mails-read_mail',
  summary: 'Read a mail',
  description: 'How it fares; never what is in it, nor its link.',
  params,
  permission: 'mails:read',
  response: { 200: MailPublic },
  errors: [MailNotFound],
})
export const retryMail = operation({
  operationId: 'mails-retry_mail',
  summary: 'Send a parked mail again',
  description: 'It waits again, and is tried at once.',
  params,
  permission: 'mails:write',
  response: { 200: MailPublic },
  errors: [MailNotFound, MailNotParked, ServiceUnavailable],
})
