/**
 * Whether a text is one email address that a mail can be sent to: a dot-string of RFC 5321 and a domain of two labels
 * or more, in ASCII. Quoted local parts, comments, groups, lists and address literals are not taken: some mail
 * programs read them as something else than one recipient.
 */
export const isEmail = (text: string): boolean => text.indexOf('@') <= LOCAL_LENGTH && ADDRESS.test(text)

/** RFC 5321, 4.5.3.1.1 */
const LOCAL_LENGTH = 64

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
const ADDRESS = new RegExp(`^${ATOM}(?:\\.${ATOM})*@${LABEL}(?:\\.${LABEL})+$`)
