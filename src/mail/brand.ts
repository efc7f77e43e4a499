import type { Config } from '../config/config.ts'
import { mailtoOf } from '../text/email-address.ts'
import { type Theme, themeOf } from '../text/theme.ts'

export type BrandConfig = Pick<
  Config,
  'PROJECT_NAME' | 'PROJECT_LOGO_URL' | 'PROJECT_COLOR' | 'SUPPORT_EMAIL' | 'linkBase'
>

/** Placeholders of every mail, from the settings. Empty where a setting has no value. */
interface Brand extends Theme {
  readonly project_name: string
  readonly logo_url: string
  readonly support_email: string
  readonly support_link: string
  /** Where whoever did not expect a notice asks for a new password: a page of the frontend, or of the service itself. */
  readonly recover_link: string
}

export function brandOf(config: BrandConfig): Brand {
  const { SUPPORT_EMAIL: support_email = '' } = config
  return {
    ...themeOf(config.PROJECT_COLOR),
    project_name: config.PROJECT_NAME,
    logo_url: config.PROJECT_LOGO_URL ?? '',
    support_email,
    support_link: support_email && mailtoOf(support_email),
    recover_link: `${config.linkBase}/recover-password`,
  }
}
