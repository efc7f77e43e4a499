import type { SignedInApp } from '../../contract/contract.ts'
import { deleteSession, deleteSessions, readSessions } from './schemas.ts'
import { sessionStore } from './store.ts'

/** Where somebody is signed in, and the end of that. */
export function sessionRoutes(app: SignedInApp) {
  const sessions = sessionStore(app.db)

  app.get('/users/me/sessions', { schema: readSessions }, (request) =>
    sessions.page(request.user, request.query),
  )
  app.delete('/users/me/sessions', { schema: deleteSessions }, async (request) => {
    await sessions.endOthers(request.user)
    app.removeEndedSessionsOf(request.user.id)
    request.record('session_ended')
    return { message: 'Other sessions ended' }
  })
  app.delete('/users/me/sessions/:session_id', { schema: deleteSession }, async (request) => {
    const { session_id } = request.params
    await sessions.end(request.user, session_id)
    request.record('session_ended', { session_id })
    return { message: 'Session ended' }
  })
}
