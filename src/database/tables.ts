import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  smallint,
  text,
  timestamp,
  uniqueIndex,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'

/**
 * The data model of accounts, mail and limits; resources declare their own tables (resources/). Columns that another program might leave out have a database default, so that rows written by
 * others are valid. After a change: `npm run db:generate`.
 */

const id = () => uuid().primaryKey().defaultRandom()
const time = () => timestamp({ withTimezone: true, precision: 3 })
const createdAt = () => time().notNull().defaultNow()
const ofUser = () => uuid().references(() => users.id, { onDelete: 'cascade' })

export const users = pgTable(
  'users',
  {
    id: id(),
    email: varchar({ length: 255 }).notNull(),
    is_active: boolean().notNull().default(true),
    is_superuser: boolean().notNull().default(false),
    is_verified: boolean().notNull().default(false),
    full_name: varchar({ length: 255 }),
    // Where EMAIL_CHANGE is confirmed: the address that was asked for, until a link mailed to it is used.
    pending_email: varchar({ length: 255 }),
    hashed_password: text().notNull(),
    // Password of the latest sign-up with this address, although it is in use (EMAIL_VERIFICATION=required). It opens
    // nothing: a sign-in with it is answered `Email not verified`, so that nobody learns which addresses are in use.
    claimed_password_hash: text(),
    // Incremented by every change that must end sessions (password, role, state): sessions of an older version are dead,
    // also one that a concurrent sign-in opens.
    credentials_version: integer().notNull().default(0),
    // IP address of the sign-up, told to the owner of the mail address.
    registered_from: text(),
    created_at: createdAt(),
    // Set when the user is deleted: gone for everybody from then on. The row is deleted once all that belongs to it is
    // (upkeep/removal.ts).
    deleted_at: time(),
  },
  (table) => [
    uniqueIndex('users_email_unique').on(sql`lower(${table.email})`),
    // For lists, in both directions.
    index('users_created_at_id_index').on(table.created_at, table.id),
    // As sortKey has it.
    index('users_full_name_id_index').on(sql`lower(coalesce(${table.full_name}, ''))`, table.id),
    // For finding the last active superuser.
    index('users_superuser_index')
      .on(table.id)
      .where(sql`${table.is_superuser} and ${table.is_active}`),
    index('users_deleted_at_index')
      .on(table.deleted_at)
      .where(sql`${table.deleted_at} is not null`),
    index('users_registered_from_index')
      .on(table.created_at)
      .where(sql`${table.registered_from} is not null`),
  ],
)

/**
 * How somebody showed who they are; the first two are names of RFC 8176. `template`: to the FastAPI template, before its database
 * was adopted; the session stands for its access tokens (accounts/sessions/template-tokens.ts).
 */
export type Method = 'pwd' | 'otp' | 'recovery' | 'passkey' | 'oidc' | 'link' | 'template'

/**
 * A sign-in. Access tokens name it as `sid`, and are valid only while the row is. A trigger (migrations) deletes the oldest
 * of more than a hundred.
 */
export const sessions = pgTable(
  'sessions',
  {
    id: id(),
    user_id: ofUser().notNull(),
    credentials_version: integer().notNull(),
    // Refresh tokens are derived from id and generation; the newest is valid.
    generation: integer().notNull().default(0),
    // The newest generation whose access token was used; null for sessions from before this column.
    seen_generation: integer().default(0),
    // When its user last showed who they are; null for sessions from before this column, which did when they were created.
    authenticated_at: time().defaultNow(),
    // All ways in which they did. The default is what versions before 0.3 mean, which may still run.
    methods: text().array().$type<Method[]>().notNull().default(['pwd']),
    user_agent: text(),
    ip_address: text(),
    created_at: createdAt(),
    last_used_at: createdAt(),
    refreshed_at: time(),
    expires_at: time().notNull(),
  },
  (table) => [
    // For the list of a user's sessions, and for the trigger.
    index('sessions_user_id_created_at_id_index').on(table.user_id, table.created_at, table.id),
    index('sessions_expires_at_index').on(table.expires_at),
  ],
)

export type TokenPurpose = 'reset_password' | 'verify_email'
/** What the link of a mail is for. */
export type LinkPurpose = TokenPurpose | 'undo_email_change'

/** One-time tokens, mailed in links. The row is no secret: the MAC in the link is, and it is not stored. */
export const oneTimeTokens = pgTable(
  'one_time_tokens',
  {
    id: id(),
    user_id: ofUser().notNull(),
    purpose: text().$type<TokenPurpose>().notNull(),
    // Unused. Versions before 0.3 write it, and may still run while this one is rolled out.
    slot: smallint(),
    // Address that it was mailed to; void once the user has another.
    email: varchar({ length: 255 }).notNull(),
    created_at: createdAt(),
    expires_at: time().notNull(),
  },
  (table) => [
    uniqueIndex('one_time_tokens_slot_unique').on(table.user_id, table.purpose, table.slot),
    index('one_time_tokens_expires_at_index').on(table.expires_at),
  ],
)

/**
 * Changes of address that whoever reads mails at the address before can take back. Apart from one-time tokens, as these
 * outlive a change of password: whoever stole an account makes one.
 */
export const addressChanges = pgTable(
  'address_changes',
  {
    id: id(),
    user_id: ofUser().notNull(),
    // In the order of the changes: one that is taken back takes later ones along, and leaves earlier ones.
    number: bigint({ mode: 'number' }).notNull().generatedAlwaysAsIdentity(),
    // The address before, and whether it was verified.
    email: varchar({ length: 255 }).notNull(),
    was_verified: boolean().notNull(),
    created_at: createdAt(),
    expires_at: time().notNull(),
  },
  (table) => [
    index('address_changes_user_id_index').on(table.user_id),
    index('address_changes_expires_at_index').on(table.expires_at),
  ],
)

/** Second factors: authenticators (TOTP). One counts once a code of it was shown. */
export const factors = pgTable(
  'factors',
  {
    id: id(),
    user_id: ofUser().notNull(),
    kind: text().$type<'totp'>().notNull(),
    name: text(),
    // Encrypted, see config/secrets/secrets.ts.
    secret: text().notNull(),
    // The time step of the last code: it and earlier ones are not good any more.
    last_step: bigint({ mode: 'number' }),
    created_at: createdAt(),
    verified_at: time(),
    last_used_at: time(),
  },
  (table) => [
    index('factors_user_id_index').on(table.user_id),
    uniqueIndex('factors_unverified_unique')
      .on(table.user_id)
      .where(sql`${table.verified_at} is null`),
  ],
)

/** Codes for who lost their authenticator, each good once. Hashes. */
export const recoveryCodes = pgTable(
  'recovery_codes',
  {
    user_id: ofUser().notNull(),
    hash: text().notNull(),
    created_at: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.user_id, table.hash] })],
)

/** Sign-ins whose first step is done: a second factor is to be shown. */
export const loginChallenges = pgTable(
  'login_challenges',
  {
    id: id(),
    user_id: ofUser().notNull(),
    // As in sessions: a change of password ends it.
    credentials_version: integer().notNull(),
    // How the first step was done.
    methods: text().array().$type<Method[]>().notNull(),
    created_at: createdAt(),
    expires_at: time().notNull(),
  },
  (table) => [
    index('login_challenges_user_id_index').on(table.user_id),
    index('login_challenges_expires_at_index').on(table.expires_at),
  ],
)

/** Accounts at other identity providers (OIDC) that sign their user in: issuer and subject say which, never an address. */
export const identities = pgTable(
  'identities',
  {
    id: id(),
    user_id: ofUser().notNull(),
    // Name of the provider in the settings when it was linked; the issuer is what counts.
    provider: text().notNull(),
    issuer: text().notNull(),
    subject: text().notNull(),
    // As the provider had it last, to be shown.
    email: varchar({ length: 255 }),
    created_at: createdAt(),
    last_used_at: time(),
    // Set when its owner removes it: it signs nobody in, and does not join the account again by itself.
    removed_at: time(),
  },
  (table) => [
    uniqueIndex('identities_issuer_subject_unique').on(table.issuer, table.subject),
    index('identities_user_id_index').on(table.user_id),
  ],
)

/** Ways to a provider that were begun: used up when the browser comes back. */
export const oidcStates = pgTable(
  'oidc_states',
  {
    id: id(),
    provider: text().notNull(),
    nonce: text().notNull(),
    // Of PKCE.
    code_verifier: text().notNull(),
    // SHA-256 of the cookie of the browser that began.
    browser: text().notNull(),
    // Where the browser is sent in the end.
    return_to: text().notNull(),
    // Of the frontend: who knows what it was made of gets the tokens.
    code_challenge: text(),
    // Who links an identity, and in which session; null at a sign-in.
    user_id: ofUser(),
    session_id: uuid(),
    created_at: createdAt(),
    expires_at: time().notNull(),
  },
  (table) => [
    index('oidc_states_user_id_index').on(table.user_id),
    index('oidc_states_expires_at_index').on(table.expires_at),
  ],
)

/** Sign-ins that a provider has vouched for, each good once for a session. */
export const oidcCodes = pgTable(
  'oidc_codes',
  {
    id: id(),
    user_id: ofUser().notNull(),
    // As in sessions: a change of password ends it.
    credentials_version: integer().notNull(),
    // As in oidc_states.
    code_challenge: text(),
    created_at: createdAt(),
    expires_at: time().notNull(),
  },
  (table) => [
    index('oidc_codes_user_id_index').on(table.user_id),
    index('oidc_codes_expires_at_index').on(table.expires_at),
  ],
)

/** Passkeys (WebAuthn). Binary values are base64url, as browsers send them. */
export const passkeys = pgTable(
  'passkeys',
  {
    id: id(),
    user_id: ofUser().notNull(),
    name: varchar({ length: 255 }),
    credential_id: text().notNull(),
    public_key: text().notNull(),
    // Stays 0 with most authenticators.
    counter: bigint({ mode: 'number' }).notNull(),
    transports: text().array().notNull().default([]),
    // Random, the same for all of a user: what authenticators know the account by.
    user_handle: text().notNull(),
    // Whether it may be, and is, on more than one device.
    backup_eligible: boolean().notNull(),
    backed_up: boolean().notNull(),
    created_at: createdAt(),
    last_used_at: time(),
  },
  (table) => [
    uniqueIndex('passkeys_credential_id_unique').on(table.credential_id),
    index('passkeys_user_id_created_at_id_index').on(table.user_id, table.created_at, table.id),
  ],
)

/** Challenges for authenticators, each good once, for one kind of use and one user. */
export const passkeyChallenges = pgTable(
  'passkey_challenges',
  {
    challenge: text().primaryKey(),
    kind: text().$type<'registration' | 'sign_in'>().notNull(),
    // Null at a sign-in, when it is not known yet who it is.
    user_id: ofUser(),
    user_handle: text(),
    created_at: createdAt(),
    expires_at: time().notNull(),
  },
  (table) => [
    index('passkey_challenges_user_id_index').on(table.user_id),
    index('passkey_challenges_expires_at_index').on(table.expires_at),
  ],
)

/** Keys by which programs act as a user. */
export const apiKeys = pgTable(
  'api_keys',
  {
    id: id(),
    user_id: ofUser().notNull(),
    name: varchar({ length: 255 }).notNull(),
    // SHA-256 of the key.
    hash: text().notNull(),
    permissions: text().array().notNull(),
    created_at: createdAt(),
    expires_at: time(),
    last_used_at: time(),
  },
  (table) => [
    uniqueIndex('api_keys_hash_unique').on(table.hash),
    index('api_keys_user_id_created_at_id_index').on(table.user_id, table.created_at, table.id),
  ],
)

/** Counters of rate limits (GCRA), one row per limit and key. Keys are MACs: rows don't reveal whom they count. */
export const rateLimits = pgTable(
  'rate_limits',
  {
    // MAC of the limit's name and an address, user or network.
    key: text().primaryKey(),
    // The time at which the counter is back at zero. Each try moves it by `every` seconds.
    forgotten_at: timestamp({ withTimezone: true }).notNull(),
    // The time from which the next try passes.
    resumes_at: timestamp({ withTimezone: true }).notNull(),
  },
  (table) => [index('rate_limits_over_index').on(sql`greatest(${table.forgotten_at}, ${table.resumes_at})`)],
)

/**
 * By which SECRET_KEYs tokens were made, and until when: what is older than that may depend on the key, and the doctor counts it.
 * The id is derived from the key and does not reveal it.
 */
export const signingKeys = pgTable('signing_keys', {
  id: text().primaryKey(),
  first_used_at: createdAt(),
  // Every process that signs with the key writes it once a minute.
  last_used_at: createdAt(),
})

/** Networks that a user signed in from, which failures of strangers don't lock out. */
export const knownNetworks = pgTable(
  'known_networks',
  {
    user_id: ofUser().notNull(),
    // MAC of user and network, so that a network can't be recognised across users.
    network: text().notNull(),
    signed_in_at: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.user_id, table.network] }),
    index('known_networks_signed_in_at_index').on(table.signed_in_at),
    // For the latest ones of a user.
    index('known_networks_user_id_signed_in_at_index').on(table.user_id, table.signed_in_at),
  ],
)

export type MessageName =
  | 'welcome'
  | 'recovery'
  | 'verification' // of a new account
  | 'new_address' // verification of a changed address
  | 'account_exists' // to the owner, when somebody signs up with their address
  | 'account_unconfirmed' // the same, where nobody confirmed the address yet
  | 'password_changed'
  | 'address_changed' // to the old one, by a superuser
  | 'own_address_changed' // to the old one, with a link that takes it back
  | 'address_restored' // with a link to choose a password
  | 'way_in_changed' // a second factor, a passkey, an identity or a key was added or removed
  | 'recovery_code_used'
  | 'session_ended' // an old refresh token was used
  | 'recovery_link_shown' // to a superuser
  | 'test'

/** The outbox. A mail has a message name and parameters, never a link: links are made when it is sent. */
export const emails = pgTable(
  'emails',
  {
    id: id(),
    user_id: ofUser(),
    message: text().$type<MessageName>().notNull(),
    recipient: varchar({ length: 255 }).notNull(),
    // What the message says of its cause (mail/cause.ts).
    params: jsonb().$type<Record<string, string | null>>().notNull().default({}),
    token_id: uuid(),
    created_at: createdAt(),
    attempts: integer().notNull().default(0),
    // When it is due; while a deliverer has it, the end of the lease.
    next_attempt_at: createdAt(),
    sent_at: time(),
    parked_at: time(),
    last_error: text(),
  },
  (table) => [
    index('emails_due_index')
      .on(table.next_attempt_at)
      .where(sql`${table.sent_at} is null and ${table.parked_at} is null`),
    index('emails_parked_index')
      .on(table.created_at, table.id)
      .where(sql`${table.parked_at} is not null`),
    index('emails_sent_at_index')
      .on(table.sent_at)
      .where(sql`${table.sent_at} is not null`),
    index('emails_created_at_id_index').on(table.created_at, table.id),
    index('emails_user_id_index').on(table.user_id),
  ],
)

/**
 * Answers of creations with an Idempotency-Key, for a day, so that a repeat gets the same. Key and body are hashes.
 */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    user_id: ofUser().notNull(),
    key: text().notNull(),
    body: text().notNull(),
    // The row as it was created, and its version.
    answer: jsonb().notNull(),
    version: text().notNull(),
    created_at: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.user_id, table.key] }),
    index('idempotency_keys_created_at_index').on(table.created_at),
  ],
)

/**
 * What was done to accounts (accounts/audit/). Ids without foreign keys, as they stay when a user is deleted.
 */
export const auditEvents = pgTable(
  'audit_events',
  {
    id: id(),
    created_at: createdAt(),
    event: text().notNull(),
    outcome: text().$type<'success' | 'failure'>().notNull().default('success'),
    // Why it failed.
    reason: text(),
    // Who did it, and whose account it is.
    actor_id: uuid(),
    subject_id: uuid(),
    session_id: uuid(),
    api_key_id: uuid(),
    ip: text(),
    request_id: text(),
    details: jsonb().$type<Record<string, unknown>>().notNull().default({}),
  },
  (table) => [
    index('audit_events_created_at_id_index').on(table.created_at, table.id),
    index('audit_events_event_created_at_id_index').on(table.event, table.created_at, table.id),
    index('audit_events_actor_id_created_at_id_index').on(table.actor_id, table.created_at, table.id),
    index('audit_events_subject_id_created_at_id_index').on(table.subject_id, table.created_at, table.id),
  ],
)

/** Of versions before 0.3, which count rows themselves where it is empty. Goes with the next release. */
export const rowCounts = pgTable('row_counts', {
  id: bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  table_name: text().notNull(),
  delta: bigint({ mode: 'number' }).notNull(),
})
