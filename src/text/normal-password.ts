/** Limit of a password, in code points. */
export const LONGEST_PASSWORD = 128

/** A text of more code units has no NFKC form of 128 code points: at most four units become one. */
const NEVER_FITS = 16 * LONGEST_PASSWORD

const isLong = (text: string) => text.length > LONGEST_PASSWORD && [...text].length > LONGEST_PASSWORD

/**
 * The form in which a password is counted and hashed (NFKC, NIST SP 800-63B, 5.1.1.2): the same for every keyboard. A far
 * too long text is returned as it is, so that it costs nothing.
 */
export const normalPassword = (text: string): string =>
  text.length > NEVER_FITS ? text : text.normalize('NFKC')

/** Forms to compare a typed password in: normal, and as typed or composed (NFC), as other systems hashed it. Three at most. */
export const typedForms = (text: string): string[] => [
  ...new Set([normalPassword(text), text, text.length > NEVER_FITS ? text : text.normalize('NFC')]),
]

/** Whether it is too long in both forms: nobody can have such a password, so it is not hashed. */
export const isTooLong = (text: string): boolean =>
  isLong(text) && (text.length > NEVER_FITS || isLong(normalPassword(text)))
