import type { Send } from '../database/pool/transaction.ts'

/**
 * A session for each active user, which stands for the access tokens that the template issued to them: shown, ended and revoked
 * as any other (accounts/sessions/template-tokens.ts). Nobody has shown who they are lately, as far as one knows.
 *
 * @param days how long the template's tokens live at most
 */
export async function openSessions(send: Send, days: number): Promise<void> {
  if (days === 0) return
  // For more than a hundred of one user: these are the first.
  await send('alter table sessions disable trigger limit_sessions')
  await send(
    `insert into sessions (user_id, credentials_version, methods, authenticated_at, user_agent, expires_at)
     select id, credentials_version, '{template}', adopted_at - $1::float8 * interval '1 day',
       'Signed in before the move', adopted_at + $1::float8 * interval '1 day'
     from users, (select clock_timestamp() as adopted_at) as adoption where is_active`,
    [days],
  )
  await send('alter table sessions enable trigger limit_sessions')
  await send('analyze sessions')
}
