const FORM = /^\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/

/**
 * In modular form: `$2b$12$` and 53 letters. Of a password longer than 72 bytes, the first 72 count, as everywhere.
 *
 * @type {import('./kinds.mjs').Kind}
 */
export const bcrypt = {
  name: 'bcrypt',
  costOf(hash) {
    const [, rounds] = FORM.exec(hash) ?? []
    return rounds === undefined ? undefined : { mebibytes: 0, milliseconds: 2 ** Number(rounds) * 0.08 }
  },
  async matches(hash, password) {
    const { compareSync } = await import('bcryptjs')
    return compareSync(password, hash)
  },
}
