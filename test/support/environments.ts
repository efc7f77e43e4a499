/** Environments that are right, for tests to change one name of. */

export type Env = Record<string, string>

export const SECRET_KEY = 'Zm9yIHRlc3RzIG9ubHkgYW5kIGxvbmcgZW5vdWdo'
export const local = { ENVIRONMENT: 'local', SECRET_KEY }
export const production = {
  ENVIRONMENT: 'production',
  SECRET_KEY,
  DATABASE_URL: 'postgres://db.internal/app',
  FIRST_SUPERUSER: 'root@example.com',
  FIRST_SUPERUSER_PASSWORD: 'chosen with care',
}
export const smtp = { SMTP_HOST: 'smtp.example.com', EMAILS_FROM_EMAIL: 'hello@example.com' }
