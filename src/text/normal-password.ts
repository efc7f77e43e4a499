/** No password is longer, in code points. */
export const LONGEST_PASSWORD = 128

/** Code units, of which no text has a normal form of 128 code points: four that become one are the most there is. */
const NEVER_FITS = 16 * LONGEST_PASSWORD

const isLong = (text: string) => text.length > LONGEST_PASSWORD && [...text].length > LONGEST_PASSWORD

/**
 * A password as it is counted and hashed (NFKC, NIST SP 800-63B, 5.1.1.2): the same, whichever keyboard it was typed on.
 * What is far too long stays as it is, so that nobody makes much work of it.
 */
export const normalPassword = (text: string): string =>
  text.length > NEVER_FITS ? text : text.normalize('NFKC')

/** As what a typed password is compared: normal, and as it was typed, which is how older services hashed it. */
export const typedForms = (text: string): string[] => [...new Set([normalPassword(text), text])]

/** Whether it is too long in either form: such a one was never chosen, and is not worth a hash. */
export const isTooLong = (text: string): boolean =>
  isLong(text) && (text.length > NEVER_FITS || isLong(normalPassword(text)))
