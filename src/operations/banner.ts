import type { Config } from '../config/config.ts'
import { profileText } from '../config/sources/profiles.ts'

type BannerConfig = Pick<
  Config,
  | 'PROJECT_NAME'
  | 'PUBLIC_URL'
  | 'DATABASE_URL'
  | 'DATA_DIR'
  | 'FIRST_SUPERUSER'
  | 'FIRST_SUPERUSER_PASSWORD'
  | 'mail'
  | 'FRONTEND_DIR'
  | 'corsOrigins'
  | 'COMPATIBILITY'
  | 'profile'
>

/** Printed after a local start: links, and the first login. */
export function banner(config: BannerConfig): string {
  const here = config.PUBLIC_URL ?? ''
  // A password that was chosen is not printed.
  const isDefault = config.FIRST_SUPERUSER_PASSWORD === 'changethis'
  const lines = [
    ['', `${config.PROJECT_NAME} is ready.`],
    ['', ''],
    ...(config.FRONTEND_DIR === undefined ? [] : [['App', `${here}/ (FRONTEND_DIR)`]]),
    ['API', `${here}/docs`],
    ['Document', `${here}/api/v1/openapi.json`],
    ['Health', `${here}/health/ready`],
    ['', ''],
    [
      'Sign in',
      `${config.FIRST_SUPERUSER} / ${isDefault ? 'changethis (at first)' : 'your FIRST_SUPERUSER_PASSWORD'}`,
    ],
    ['Database', config.DATABASE_URL === undefined ? `embedded, in ${config.DATA_DIR}/` : 'PostgreSQL'],
    ['Mail', config.mail === 'smtp' ? 'sent by SMTP' : `${here}/inbox (no SMTP_HOST)`],
    ['Frontends', `${config.corsOrigins.join(', ')} may call it (BACKEND_CORS_ORIGINS adds more)`],
    ...(config.COMPATIBILITY === undefined ? [] : [['Profile', profileText(config)]]),
  ] as [name: string, text: string][]
  return ['', ...lines.map(([name, text]) => `  ${name.padEnd(9)} ${text}`.trimEnd()), ''].join('\n')
}
