import { sql } from 'drizzle-orm'
import type { VerificationConfig } from '../verification.ts'
import type { Database } from '../../database/connect.ts'
import { uniqueViolation } from '../../database/faults.ts'
import { type PageOf, type PageRequest, preparePages } from '../../ownership/page.ts'
import { assignments, whenNeeded } from '../../database/statements.ts'
import { users } from '../../database/tables.ts'
import {
  EmailTakenAtChange,
  InvalidCredentials,
  LastSuperuser,
  SuperuserDeletesSelf,
  UserNotFound,
  UserToUpdateNotFound,
} from '../../contract/errors.ts'
import { prepareUserStatements } from './statements.ts'

type User = typeof users.$inferSelect

const isDeleted = sql`${users.deleted_at} is not null`

/** Each with an index; `email` has the one that keeps addresses unique. */
type Sort = 'created_at' | 'email' | 'full_name'

/** What a user changes of their own account. */
type OwnChanges = Partial<Pick<User, 'email' | 'full_name'>>

/** What a superuser changes of any. */
type Changes = { [Field in (typeof CHANGEABLE)[number]]?: User[Field] | undefined }

const CHANGEABLE = ['email', 'hashed_password', 'full_name', 'is_active', 'is_superuser'] as const

export interface UserStore {
  /** @param isWanted whether anybody waits for it when its turn has come */
  page(request: PageRequest<Sort>, isWanted: () => boolean): Promise<PageOf<User>>
  /** @throws UserNotFound */
  get(id: string): Promise<User>
  /** The hash that a password is compared with; undefined where the user was deleted meanwhile. */
  hashOf(id: string): Promise<string | undefined>
  /** Undefined where there is no such user. */
  emailOf(id: string): Promise<string | undefined>
  /** @throws EmailTakenAtChange */
  updateOwn(id: string, changes: OwnChanges, ipAddress: string): Promise<User>
  /**
   * Ends every other session of the user; one-time tokens die too.
   *
   * @returns false where the hash is no longer the one that was verified
   */
  changePassword(
    user: { id: string; session_id: string },
    change: { verified: string | undefined; hashed_password: string; ip_address: string },
  ): Promise<boolean>
  /**
   * @returns the user, and the names of the fields that have other values now
   * @throws UserToUpdateNotFound, LastSuperuser, EmailTakenAtChange
   */
  update(id: string, changes: Changes): Promise<{ user: User; changed: string[] }>
  /** Writes nothing. @throws UserToUpdateNotFound, LastSuperuser, EmailTakenAtChange where an update would */
  checkUpdate(id: string, changes: Changes): Promise<void>
  /** @throws SuperuserDeletesSelf where the user became a superuser meanwhile */
  deleteOwn(id: string): Promise<void>
  /** @throws UserNotFound, LastSuperuser */
  delete(id: string): Promise<void>
}

export function userStore(db: Database, config: VerificationConfig): UserStore {
  const run = whenNeeded(() => prepareUserStatements(db, config))
  const readPage = preparePages<User, Sort>(
    db,
    users,
    ['email', 'full_name'],
    undefined,
    undefined,
    isDeleted,
  )
  const ownChanges = assignments(['email', 'full_name'])
  const allChanges = assignments(CHANGEABLE)
  /** Asked where a write found nothing to do: was it refused, or was the user deleted meanwhile? */
  const exists = async (id: string) => (await run().get.execute({ id })).length > 0
  return {
    page: (request, isWanted) => readPage(request, {}, isWanted),
    async get(id) {
      const [user] = await run().get.execute({ id })
      if (!user) throw new UserNotFound()
      return user
    },
    async hashOf(id) {
      const [user] = await run().get.execute({ id })
      return user?.hashed_password
    },
    async emailOf(id) {
      const [user] = await run().get.execute({ id })
      return user?.email
    },
    async updateOwn(id, changes, ip_address) {
      const [user] = await refusingTakenEmail(
        run().updateOwn.execute({ id, ip_address, ...ownChanges(changes) }),
      )
      if (!user) throw new InvalidCredentials()
      return user
    },
    async changePassword({ id, session_id }, change) {
      const changed = await run().changePassword.execute({ id, session_id, ...change })
      return changed.length > 0
    },
    async update(id, changes) {
      const [found] = await refusingTakenEmail(
        run().update.execute({ id, ip_address: null, ...allChanges(changes) }),
      )
      if (!found) throw new UserToUpdateNotFound()
      if (found.user) return { user: found.user, changed: found.changed?.split(',').filter(Boolean) ?? [] }
      throw (await exists(id)) ? new LastSuperuser() : new UserToUpdateNotFound()
    },
    async checkUpdate(id, { email, is_active, is_superuser }) {
      if (!(await exists(id))) throw new UserToUpdateNotFound()
      const removes = is_active === false || is_superuser === false
      if (removes && (await run().isLast.execute({ id })).length > 0) throw new LastSuperuser()
      const [holder] = email === undefined ? [] : await run().holder.execute({ email })
      if (holder && holder.id !== id.toLowerCase()) throw new EmailTakenAtChange()
    },
    async deleteOwn(id) {
      const deleted = await run().deleteOwn.execute({ id })
      if (deleted.length > 0) return
      throw (await exists(id)) ? new SuperuserDeletesSelf() : new InvalidCredentials()
    },
    async delete(id) {
      const [found] = await run().delete.execute({ id })
      if (!found) throw new UserNotFound()
      if (found.deleted !== null) return
      throw (await exists(id)) ? new LastSuperuser() : new UserNotFound()
    },
  }
}

async function refusingTakenEmail<T>(statement: Promise<T>): Promise<T> {
  try {
    return await statement
  } catch (error) {
    if (uniqueViolation(error) === 'users_email_unique') throw new EmailTakenAtChange()
    throw error
  }
}
