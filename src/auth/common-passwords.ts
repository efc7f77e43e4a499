/** How many of the most common passwords are refused (OWASP ASVS 6.2.4: the top 3,000 that fit the password policy). */
const REFUSED = 3_000
const SHORTEST = 8

let common: Promise<ReadonlySet<string>> | undefined

/**
 * Whether a password is among the 3,000 most common of 8 or more characters, whatever the case of its letters. The
 * list is zxcvbn's, by frequency in leaks; it is loaded on the first call.
 */
export async function isCommonPassword(password: string): Promise<boolean> {
  return (await (common ??= loadCommon())).has(password.toLowerCase())
}

async function loadCommon(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  const byFrequency = dictionary['passwords-common']
  return new Set(byFrequency.filter((password) => password.length >= SHORTEST).slice(0, REFUSED))
}
