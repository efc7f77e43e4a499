/** OWASP ASVS 6.2.4: refuse at least the top 3,000 passwords that match the policy. */
const REFUSED = 3_000
const SHORTEST = 8

let common: Promise<ReadonlySet<string>> | undefined

/**
 * Whether a password is among the 3,000 most common ones of 8 or more characters, ignoring case. The list is zxcvbn's, by
 * frequency in leaks; loaded on the first call.
 */
export async function isCommonPassword(password: string): Promise<boolean> {
  return (await (common ??= loadCommon())).has(password.toLowerCase())
}

async function loadCommon(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  const byFrequency = dictionary['passwords-common']
  return new Set(byFrequency.filter((password) => password.length >= SHORTEST).slice(0, REFUSED))
}

/** Context words that an attacker tries first: the address, and the name of the service. */
export interface Known {
  readonly email: string
  readonly project: string
}

/**
 * Whether a password is common, or consists of the address, its local part or domain, or the project's name, ignoring case
 * and digits or signs around it (NIST SP 800-63B, 5.1.1.2: context-specific words).
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

/** Shorter words, such as `a`, are too small a part of a password. */
const SHORTEST_WORD = 4

/** Letters and digits only, lower case. */
const lettersOf = (text: string) =>
  text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}]/gu, '')

/** The same without digits at either end (a year, a 1). */
function coreOf(text: string): string {
  const letters = lettersOf(text)
  return /\D(?:.*\D)?/s.exec(letters)?.[0] ?? letters
}
