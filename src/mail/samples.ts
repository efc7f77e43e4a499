import type { MessageName } from '../database/tables.ts'
import { themeOf } from '../text/theme.ts'
import { pathOfLink } from './messages.ts'

const linkTo = (path: string) =>
  `http://localhost:8000${path}?token=0d8f6a52-6f3a-4a4e-9c1b-6b8a2f1f7c55.q1V0dHJ5IHRvIHJlYWQgdGhpcyBhcyBhIHNlY3JldA`

/** Realistic values for the placeholders of all templates: for previews (`npm run emails`) and tests. */
export const samples = {
  ...themeOf('#0f6b5c'),
  project_name: 'Groundwork',
  logo_url: '',
  support_email: 'help@example.com',
  support_link: 'mailto:help@example.com',
  recover_link: 'http://localhost:8000/recover-password',
  email: 'ada.lovelace@example.com',
  link: linkTo('/reset-password'),
  valid_until: '25 November 2026 at 10:15 UTC',
  made_at: '23 November 2026 at 10:15 UTC',
  made_from: 'the network address 203.0.113.7',
  made_how: 'from the network address 203.0.113.7',
  at: '23 November 2026 at 10:15 UTC',
  from: 'the network address 2001:db8:85a3::8a2e:370:7334, with Chrome on Windows',
  how: 'from the network address 203.0.113.7, with Firefox on Linux',
  what: 'A second factor was added: signing in asks for a code from now on',
  left: '9',
  identities: 'google',
  passkeys: 'Firefox on Linux, Phone',
  api_keys: 'Nightly export, Backup',
  session:
    'Safari on iPhone (signed in on 3 November 2026 at 8:02 UTC from the network address 198.51.100.24)',
} as const

/** With the link of one message. */
export const samplesOf = (message: MessageName) => ({ ...samples, link: linkTo(pathOfLink(message) ?? '/') })
