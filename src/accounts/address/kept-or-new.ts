import { NoEmailAddress } from '../../contract/errors.ts'
import { isEmail, isSameEmail, readEmail } from '../../text/email-address.ts'

/**
 * The address that a change asks for. One that stays is taken whatever it looks like, as rows that came from another system
 * have addresses that nobody could sign up with.
 *
 * @param stored undefined where there is no such user
 * @throws NoEmailAddress where another one is none
 */
export function keptOrNew(email: string, stored: string | undefined): string {
  if (stored !== undefined && isSameEmail(email, readEmail(stored)))
    return isSameEmail(email, stored) ? email : stored
  if (!isEmail(email)) throw new NoEmailAddress()
  return email
}
