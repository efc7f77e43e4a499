import { ECHO } from './check.ts'

const emoji = (count: number) => '🦊'.repeat(count)
const text = (max: number) => [5, true, [ECHO], `${ECHO} ok\u0000`, ECHO + emoji(max + 1 - ECHO.length)]
const notAddresses = [
  ECHO,
  `${ECHO}@`,
  `@${ECHO}.example.com`,
  `${ECHO} a@example.com`,
  `${ECHO} <a@example.com>`,
  '',
]

/** Values that each kind of field refuses. */
export const wrong = {
  email: [null, 5, ...notAddresses, `${ECHO}\u0000@example.com`, longAddress(256)],
  password: [null, ...text(128), emoji(7), ''],
  full_name: text(255),
  title: [null, '', ...text(255)],
  description: text(255),
  flag: [null, 'true', 1, 0, ECHO],
  token: [null, 5, [ECHO], `${ECHO}\u0000`],
}

/** An address of so many characters, as it could be (no part over 63). */
export function longAddress(length: number) {
  const start = `${ECHO}-${crypto.randomUUID()}@`
  const rest = length - start.length - 'example.com'.length
  const labels = Array.from({ length: Math.ceil(rest / 41) }, () => `${'d'.repeat(40)}.`)
  return `${start}${labels.join('').slice(-rest)}example.com`
}

/** The values that each field of an account refuses. */
export const wrongAccount = {
  email: wrong.email,
  password: wrong.password,
  full_name: wrong.full_name,
  is_active: wrong.flag,
  is_superuser: wrong.flag,
}
