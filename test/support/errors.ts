/** The codes of those texts that are not the same in snake case. */
const CODES: Readonly<Record<string, string>> = {
  'Could not validate credentials': 'invalid_credentials',
  "The user doesn't have enough privileges": 'not_enough_privileges',
  'The user with this username does not exist in the system.': 'user_not_found',
  'The user with this id does not exist in the system': 'user_not_found',
  'The user with this email already exists in the system.': 'email_taken',
  'The user with this email already exists in the system': 'email_taken',
  'User with this email already exists': 'email_taken',
  'New password cannot be the same as the current one': 'same_password',
  'Super users are not allowed to delete themselves': 'superuser_cannot_delete_self',
  'The last active superuser cannot be removed': 'last_superuser',
  'The limit of rows for one user is reached': 'row_quota_reached',
  'Other rows still refer to this one': 'still_referenced',
  'Value is already in use': 'already_exists',
  'This is the only way to sign in': 'last_way_in',
  'An account with this address exists: choose a new password by a recovery mail, sign in, and link the provider':
    'account_exists',
  'The provider did not vouch for an email address': 'provider_email_not_verified',
  'This identity belongs to another account': 'identity_taken',
  'Unknown Host: use localhost, or set PUBLIC_URL to where this service is reached': 'unknown_host',
  'Only a parked mail can be sent again': 'mail_not_parked',
  'The body could not be read': 'unreadable_body',
}

/** The code that goes with an error's text. */
export const codeOf = (detail: string): string =>
  CODES[detail] ?? detail.toLowerCase().replaceAll(/\W+/g, '_')

/** The body of an error. */
export const errorBody = (detail: string) => ({ detail, code: codeOf(detail) })

/** The same as it is sent. */
export const errorText = (detail: string) => JSON.stringify(errorBody(detail))

/** The body of a 422. */
export const faultsBody = (...detail: readonly object[]) => ({ detail, code: 'validation_error' })
