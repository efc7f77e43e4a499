import { type Static, Type } from '@sinclair/typebox'

/** All environment variables: type, default, description. */

const Flag = (description: string, fallback: boolean) => Type.Boolean({ description, default: fallback })
const Setting = (description: string, options: object = {}) =>
  Type.Optional(Type.String({ description, ...options }))
const Count = (description: string, fallback: number, maximum: number, minimum = 1) =>
  Type.Integer({ description, default: fallback, minimum, maximum })

const URL_OF_HTTP = { url: ['http:', 'https:'] }
const URL_OF_HTTPS = { url: ['https:'] }

export const Environment = Type.Object({
  ENVIRONMENT: Type.Union([Type.Literal('local'), Type.Literal('staging'), Type.Literal('production')], {
    description: 'local, staging or production',
    default: 'local',
  }),
  COMPATIBILITY: Type.Optional(
    Type.Literal('fastapi-template', {
      description:
        'fastapi-template: what its frontend needs, where not set: EMAIL_VERIFICATION=off, ACCESS_TOKEN_EXPIRE_MINUTES=11520',
    }),
  ),
  PROJECT_NAME: Type.String({ description: 'in titles and mails', default: 'Groundwork' }),
  PROJECT_LOGO_URL: Setting(
    'https URL of an image in place of the name, on pages and in mails',
    URL_OF_HTTPS,
  ),
  PROJECT_COLOR: Type.String({
    description: 'of buttons and links on pages and in mails: # and six hexadecimal digits',
    default: '#0f6b5c',
  }),
  SUPPORT_EMAIL: Setting('address that pages and mails give to readers who need help'),
  HOST: Setting('address to listen on; 127.0.0.1 in local, else 0.0.0.0'),
  PORT: Count('port to listen on', 8000, 65_535, 0),
  PUBLIC_URL: Setting('where people reach this service; http://localhost:PORT in local', URL_OF_HTTP),
  FRONTEND_HOST: Setting(
    'the frontend: links in mails lead there, and CORS allows it; PUBLIC_URL with FRONTEND_DIR',
    URL_OF_HTTP,
  ),
  FRONTEND_DIR: Setting('folder of a built single-page app, served at / on the same origin'),
  FRONTEND_CSP: Setting('its Content-Security-Policy, where that of docs/operations.md does not fit'),
  BACKEND_CORS_ORIGINS: Setting('more origins allowed by CORS: comma-separated or a JSON list'),
  TRUST_PROXY: Setting('proxies (IPs, CIDR blocks) whose X-Forwarded-For, X-Request-Id, traceparent count'),
  DATABASE_URL: Setting('PostgreSQL 15 or later; unset in local: the embedded database'),
  POSTGRES_SERVER: Setting('host of the database, where DATABASE_URL is unset'),
  POSTGRES_PORT: Setting('its port; 5432 where unset'),
  POSTGRES_USER: Setting('its user; postgres where unset'),
  POSTGRES_PASSWORD: Setting('its password'),
  POSTGRES_DB: Setting('its name; that of the user where unset'),
  MIGRATION_DATABASE_URL: Setting('a direct connection, where DATABASE_URL leads to a pooler'),
  MIGRATE_ON_START: Flag('whether a start applies migrations; false: `npm run db:migrate` alone does', true),
  DATABASE_POOL_SIZE: Count(
    'connections to PostgreSQL at most, 2 at least; a quarter for long statements',
    10,
    1000,
  ),
  DATABASE_TIMEOUT_MS: Count('milliseconds that a statement may run; beyond it 503', 800, 60_000, 100),
  DATABASE_LONG_TIMEOUT_MS: Type.Optional(
    Type.Integer({
      description: 'the same for searches, transactions, housekeeping; DATABASE_TIMEOUT_MS where unset',
      minimum: 100,
      maximum: 600_000,
    }),
  ),
  MAX_ROWS_PER_USER: Count('rows of each owned table that one user may have', 100_000, 10_000_000),
  DATA_DIR: Type.String({
    description: 'folder of the embedded database and the local secret',
    default: 'data',
  }),
  SECRET_KEY: Setting('signs access tokens; 32 random bytes or more; made once in local'),
  SECRET_KEY_PREVIOUS: Setting('SECRET_KEY before a change, as long as what it signed is to go on'),
  ADOPTED_SECRET_KEY: Setting(
    "SECRET_KEY of the FastAPI template that was adopted: lets its users' access tokens in until they expire",
  ),
  FIRST_SUPERUSER: Type.String({
    description: 'made at start where there is no active superuser',
    default: 'admin@example.com',
  }),
  FIRST_SUPERUSER_PASSWORD: Setting('its password at first, needed only then; changethis in local'),
  ACCESS_TOKEN_EXPIRE_MINUTES: Count('life of an access token', 60, 527_040),
  REFRESH_TOKEN_EXPIRE_DAYS: Count('a session ends that long after its last refresh', 30, 180),
  REAUTHENTICATION_MINUTES: Count(
    'after that, changes of account and users need the password again',
    60,
    527_040,
  ),
  SECOND_FACTOR: Type.Union([Type.Literal('optional'), Type.Literal('superusers')], {
    description: 'superusers: those without a second factor may do nothing but get one',
    default: 'optional',
  }),
  EMAIL_RESET_TOKEN_EXPIRE_HOURS: Count('life of a recovery link', 1, 8784),
  EMAIL_VERIFY_TOKEN_EXPIRE_HOURS: Count('life of a verification or welcome link', 48, 8784),
  EMAIL_VERIFICATION: Type.Union(
    ['off', 'optional', 'required'].map((mode) => Type.Literal(mode)),
    {
      description: 'off: no verification mails; optional: signup mails a link; required: no sign-in before',
      default: 'optional',
    },
  ),
  EMAIL_CHANGE: Type.Union([Type.Literal('immediate'), Type.Literal('confirmed')], {
    description: 'immediate: a new address counts at once; confirmed: once a link mailed to it is used',
    default: 'immediate',
  }),
  SMTP_HOST: Setting('mail server; unset: local keeps mails to itself, elsewhere mail is off'),
  SMTP_PORT: Count('its port', 587, 65_535),
  SMTP_USER: Setting('its user'),
  SMTP_PASSWORD: Setting('its password'),
  SMTP_TLS: Flag('STARTTLS', true),
  SMTP_SSL: Flag('TLS from the first byte', false),
  EMAILS_FROM_EMAIL: Setting('sender of mails; needed with SMTP_HOST'),
  EMAILS_FROM_NAME: Setting("the sender's name; PROJECT_NAME where unset"),
  RATE_LIMIT_ENABLED: Flag('whether tries are limited', true),
  AUDIT_RETENTION_DAYS: Count('days that rows of the audit are kept', 365, 36_500),
  SENTRY_DSN: Setting('errors are reported there, outside local', URL_OF_HTTP),
  METRICS_PORT: Type.Optional(
    Type.Integer({
      description: 'Prometheus metrics at /metrics on this port; off where unset',
      minimum: 1,
      maximum: 65_535,
    }),
  ),
  METRICS_HOST: Type.String({ description: 'address that METRICS_PORT listens on', default: '127.0.0.1' }),
  OTEL_EXPORTER_OTLP_ENDPOINT: Setting('OpenTelemetry traces are sent there; off where unset', URL_OF_HTTP),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: Setting('the same, as the whole URL', URL_OF_HTTP),
  OTEL_TRACES_EXPORTER: Type.Optional(
    Type.Union([Type.Literal('otlp'), Type.Literal('none')], { description: 'otlp or none' }),
  ),
  OTEL_SDK_DISABLED: Type.Optional(Type.Boolean({ description: 'switches traces off' })),
  OTEL_SERVICE_NAME: Setting('name of the service in traces; PROJECT_NAME where unset'),
  LOG_LEVEL: Type.Union(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => Type.Literal(level)),
    { description: 'fatal, error, warn, info, debug, trace or silent', default: 'info' },
  ),
  DOCS_ENABLED: Type.Optional(
    Type.Boolean({ description: '/docs and openapi.json; true, in production false' }),
  ),
})

/** The environment as read, before derived values are added. */
export type Named = Static<typeof Environment>
