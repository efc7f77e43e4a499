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

/** What everybody would try first at an account: its address, and what the service is called. */
export interface Known {
  readonly email: string
  readonly project: string
}

/**
 * Whether a password is common, or no more than the address, its local part or domain, or the project's name, whatever
 * its case and with a few digits and signs around it (NIST SP 800-63B, 5.1.1.2).
 */
export async function isGuessable(password: string, { email, project }: Known): Promise<boolean> {
  const at = email.lastIndexOf('@')
  const [local, domain] = [email.slice(0, at), email.slice(at + 1)]
  const words = [
    email,
    local,
    local.split('+', 1)[0]!,
    domain,
    domain.split('.', 1)[0]!,
    project,
    ...local.split(/[._+-]/),
  ]
  const [whole, core] = [lettersOf(password), coreOf(password)]
  const isWord = words.some((word) => {
    const letters = lettersOf(word)
    const isTwice = letters !== '' && whole === letters + letters
    return isTwice || whole === letters || (letters.length >= SHORTEST_WORD && core === coreOf(word))
  })
  return isWord || isCommonPassword(password)
}

/** Of shorter ones, such as `a`, most of the password is something else. */
const SHORTEST_WORD = 4

/** Letters and digits alone, in one case. */
const lettersOf = (text: string) =>
  text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}]/gu, '')

/** The same without the digits at either end: a year, a 1. */
function coreOf(text: string): string {
  const letters = lettersOf(text)
  return /\D(?:.*\D)?/s.exec(letters)?.[0] ?? letters
}
