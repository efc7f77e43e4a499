import { deviceOf } from '../text/device.ts'

/** What the statement that queues a mail notes of its cause (mail/queue.ts). Addresses and devices as sessions have them. */
export interface MailParams {
  /** A network address; null for an action of a superuser. */
  readonly from?: string | null
  /** A User-Agent. Left out for actions of superusers, and in rows of versions before 0.3. */
  readonly device?: string | null
  /** When the account was created, if not with the mail. */
  readonly made_at?: string
  /** The network address that created the account, if another than `from`. */
  readonly made_from?: string | null
  /** What was added or removed: a key of `changes`. */
  readonly what?: string
  /** Names of API keys that go on working. */
  readonly keys?: string | null
  /** Names of identity providers that go on signing in. */
  readonly identities?: string | null
  /** Names of passkeys that go on working. */
  readonly passkeys?: string | null
  /** How many recovery codes are left. */
  readonly left?: string
  /** The session that ended: its device, the network address that signed in, and when. */
  readonly session_device?: string | null
  readonly session_from?: string | null
  readonly session_at?: string
}

/** Placeholders for the cause of a mail: when it happened, and from where or by whom; the same of the account's creation. */
export function causeOf(params: MailParams = {}, createdAt = new Date()) {
  const { from, device, made_at, made_from = from } = params
  return {
    at: readable(createdAt),
    from: `${network(from)}${withDevice(device)}`,
    how: `${how(from)}${withDevice(device)}`,
    made_at: readable(made_at === undefined ? createdAt : new Date(made_at)),
    made_from: network(made_from),
    made_how: how(made_from),
    session: session(params),
    what: changes[params.what ?? ''] ?? 'How you sign in was changed',
    left: params.left ?? '0',
    api_keys: params.keys ?? '',
    identities: params.identities ?? '',
    passkeys: params.passkeys ?? '',
  }
}

/** Sentences of the mail `way_in_changed`. */
const changes: Record<string, string> = {
  factor_added: 'A second factor was added: signing in asks for a code from now on',
  factor_removed: 'A second factor was removed',
  factors_reset: 'All second factors were removed',
  identity_added: 'An account at an identity provider was linked, which signs in from now on',
  identity_removed: 'An account at an identity provider signs in no more',
  passkey_added: 'A passkey was added: it signs in without a password',
  passkey_removed: 'A passkey was removed',
  api_key_created: 'An API key was made',
  api_key_deleted: 'An API key was deleted',
  recovery_codes_made: 'New recovery codes were made, and the old ones stopped working',
}

const network = (address?: string | null) =>
  typeof address === 'string' ? `the network address ${address}` : 'an unknown network address'

const how = (address?: string | null) =>
  typeof address === 'string' ? `from ${network(address)}` : 'by an administrator'

const withDevice = (userAgent?: string | null) =>
  userAgent === undefined ? '' : `, with ${deviceOf(userAgent)}`

const session = ({ session_device, session_from, session_at }: MailParams) =>
  session_device === undefined || session_at === undefined
    ? 'one of your devices'
    : `${deviceOf(session_device)} (signed in on ${readable(new Date(session_at))} from ${network(session_from)})`

const style = { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' } as const

/** "23 November 2026 at 10:15 UTC": correct whenever the mail is read, unlike "in one hour". */
export const readable = (time: Date) => `${time.toLocaleString('en-GB', style)} UTC`
