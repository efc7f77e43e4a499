import type { SignedInApp } from '../../contract/contract.ts'
import { endOtherSessions, endOwnSession, listSessions } from '../sign-out.ts'
import { deleteSession, deleteSessions, readSessions } from './schemas.ts'

/** Where somebody is signed in, and the end of that. */
export function sessionRoutes(app: SignedInApp) {
  app.get('/users/me/sessions', { schema: readSessions }, listSessions(app))

  const endOthers = endOtherSessions(app)
  app.delete('/users/me/sessions', { schema: deleteSessions }, async (request) => {
    await endOthers(request)
    return { message: 'Other sessions ended' }
  })

  const end = endOwnSession(app)
  app.delete('/users/me/sessions/:session_id', { schema: deleteSession }, async (request) => {
    await end(request.params.session_id, request)
    return { message: 'Session ended' }
  })
}
