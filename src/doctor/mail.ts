import type { Config } from '../config/config.ts'
import { tryServer } from '../mail/transport.ts'
import { type Finding, doubtful, fine, wrong } from './findings.ts'

/** Connects to the mail server and authenticates. Sends nothing. */
export async function mailFinding(config: Config): Promise<Finding> {
  const { mail, SMTP_HOST: host, SMTP_PORT: port, SMTP_SSL, SMTP_TLS, SMTP_USER } = config
  if (mail === 'inbox') return fine('mail', 'kept in the inbox, as there is no SMTP_HOST')
  if (mail === 'off')
    return doubtful('mail', 'off: nobody gets a link', 'set SMTP_HOST where people recover passwords')
  const security = SMTP_SSL ? 'TLS' : SMTP_TLS ? 'STARTTLS' : 'plain text'
  try {
    await tryServer(config)
    const text = `${host}:${port} by ${security}${SMTP_USER === undefined ? '' : ', signed in'}`
    return SMTP_SSL || SMTP_TLS || config.ENVIRONMENT === 'local'
      ? fine('mail', text)
      : doubtful('mail', text, 'links can be read on the way; set SMTP_TLS=true')
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string }
    return wrong(
      'mail',
      `${host}:${port} by ${security}: ${message}`,
      fixes[code] ?? 'see SMTP_HOST and SMTP_PORT',
    )
  }
}

/** By error code of nodemailer. */
const fixes: Record<string, string> = {
  EAUTH: 'see SMTP_USER and SMTP_PASSWORD',
  ETLS: 'the server offers no STARTTLS: SMTP_SSL=true for TLS from the first byte, SMTP_TLS=false for none',
  ESOCKET: 'see SMTP_HOST, SMTP_PORT, and SMTP_SSL (true for TLS from the first byte, as on port 465)',
  EDNS: 'see SMTP_HOST',
}
