/**
 * A device in plain words, by its User-Agent: "Firefox on Windows". Only names of these lists are given: whoever sends the
 * header chooses its text, and mails repeat to somebody else what this returns.
 */
export function deviceOf(userAgent: string | null): string {
  const program = nameIn(userAgent ?? '', programs)
  const system = nameIn(userAgent ?? '', systems)
  if (system === undefined) return program ?? 'an unknown device'
  return `${program ?? 'an app'} on ${system}`
}

const nameIn = (userAgent: string, names: readonly (readonly [part: string, name: string])[]) =>
  names.find(([part]) => userAgent.includes(part))?.[1]

/** In this order: Edge also names Chrome, and Chrome Safari. */
const programs = [
  ['Edg/', 'Edge'],
  ['EdgA/', 'Edge'],
  ['EdgiOS/', 'Edge'],
  ['OPR/', 'Opera'],
  ['SamsungBrowser/', 'Samsung Internet'],
  ['Vivaldi/', 'Vivaldi'],
  ['Firefox/', 'Firefox'],
  ['FxiOS/', 'Firefox'],
  ['CriOS/', 'Chrome'],
  ['Chrome/', 'Chrome'],
  ['Safari/', 'Safari'],
  ['curl/', 'curl'],
  ['Wget/', 'Wget'],
  ['PostmanRuntime/', 'Postman'],
  ['insomnia/', 'Insomnia'],
  ['python-requests/', 'a Python program'],
  ['python-httpx/', 'a Python program'],
  ['Go-http-client/', 'a Go program'],
] as const

/** In this order: Android also names Linux, and iPhones Mac OS X. */
const systems = [
  ['iPhone', 'iPhone'],
  ['iPad', 'iPad'],
  ['Android', 'Android'],
  ['Windows', 'Windows'],
  ['CrOS', 'ChromeOS'],
  ['Mac OS X', 'macOS'],
  ['Linux', 'Linux'],
  ['Darwin/', 'an Apple device'],
  ['okhttp/', 'Android'],
] as const
