/** RFC 7518, 3.2: a key for HS256 has at least 256 bits. Text typed by hand has fewer bits than its length suggests. */
const ENOUGH_BITS = 100

/** Example secrets of documentation, letters and digits only. Shorter ones could occur in random keys. */
const EXAMPLES = [
  'changethis',
  'changeme',
  'changeit',
  'replacethis',
  'replaceme',
  'replacewith',
  'replaceby',
  'randomstring',
  'randomsecret',
  'generatedby',
  'outputof',
  'opensslrand',
  'donotuse',
  'dontuse',
  'inproduction',
  'fordevelopment',
  'developmentonly',
  'examplekey',
  'examplesecret',
  'devsecret',
  'jwtsecret',
  'defaultsecret',
  'thisisasecret',
  'yourjwt',
  'yourrandom',
  'keyboardcat', // express-session
  'correcthorsebattery',
  'yoursecret',
  'yourkey',
  'your256bit',
  'asecretkey',
  'secretkey',
  'mysecret',
  'supersecret',
  'topsecret',
  'insecure',
  'placeholder',
  'secretatleast', // jwt.io
  'atleast32',
  '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7', // FastAPI's tutorial
]

/** `<your key>`, `{{ key }}`, `${KEY}`, `$(command)`. */
const IS_PLACEHOLDER = /^(?:<[^]*>|\$?\{[^]*\}|\$\([^]*\))$/

/** Keyboard rows; a step of ten is the key below. */
const KEYBOARD = '1234567890qwertyuiopasdfghjkl;zxcvbnm,./!@#$%^&*()QWERTYUIOPASDFGHJKL:ZXCVBNM<>?'

/** Why a secret could be guessed; undefined if nothing suggests it. */
export function weaknessOf(secret: string): string | undefined {
  const plain = secret.toLowerCase().replace(/[^a-z\d]/g, '')
  if (EXAMPLES.some((example) => plain.includes(example))) return 'is made of an example that everybody knows'
  if (IS_PLACEHOLDER.test(secret.trim())) return 'stands for another that was to be put in its place'
  const bits = Math.round(bitsOf(secret))
  return bits < ENOUGH_BITS ? `repeats itself or a known order (about ${bits} bits)` : undefined
}

/**
 * Upper bounds of entropy: of the characters, of the steps between them in the alphabet (one in abcdef…) and on a keyboard
 * (one in qwerty…, four in 1qaz2wsx…), and of the repeated part.
 */
function bitsOf(secret: string): number {
  const characters = [...secret]
  const unit = characters.slice(0, periodOf(characters))
  const codes = unit.map((character) => character.codePointAt(0) ?? 0)
  // Characters without a key keep their order among themselves.
  const keys = unit.map((character, index) => {
    const at = KEYBOARD.indexOf(character)
    return at < 0 ? KEYBOARD.length + (codes[index] ?? 0) : at
  })
  return Math.min(entropyOf(unit), entropyOf(stepsOf(codes)) + 8, entropyOf(stepsOf(keys)) + 8)
}

const stepsOf = (places: readonly number[]) =>
  places.slice(1).map((place, index) => place - (places[index] ?? 0))

/** Shannon entropy of the whole, in bits. */
function entropyOf(symbols: readonly unknown[]): number {
  const counts = new Map<unknown, number>()
  for (const symbol of symbols) counts.set(symbol, (counts.get(symbol) ?? 0) + 1)
  return -[...counts.values()].reduce((sum, count) => sum + count * Math.log2(count / symbols.length), 0)
}

/** Length of the repeated part (Knuth-Morris-Pratt); the whole length if nothing repeats. */
function periodOf(characters: readonly string[]): number {
  const borders = [0]
  for (let at = 1, length = 0; at < characters.length; at += 1) {
    while (length > 0 && characters[at] !== characters[length]) length = borders[length - 1] ?? 0
    if (characters[at] === characters[length]) length += 1
    borders[at] = length
  }
  const period = characters.length - (borders.at(-1) ?? 0)
  return period <= characters.length / 2 ? period : characters.length
}
