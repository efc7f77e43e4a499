/** RFC 7518, 3.2: a key of HS256 has 256 bits at least. What was typed by hand has fewer than its length promises. */
const ENOUGH_BITS = 100

/** Of documentations that people copy from, without what is no letter or digit. Shorter ones would be in random keys. */
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

/** As keys lie beside each other, and ten further on below. */
const KEYBOARD = '1234567890qwertyuiopasdfghjkl;zxcvbnm,./!@#$%^&*()QWERTYUIOPASDFGHJKL:ZXCVBNM<>?'

/** Why a secret could be guessed; undefined where nothing says so. */
export function weaknessOf(secret: string): string | undefined {
  const plain = secret.toLowerCase().replace(/[^a-z\d]/g, '')
  if (EXAMPLES.some((example) => plain.includes(example))) return 'is made of an example that everybody knows'
  if (IS_PLACEHOLDER.test(secret.trim())) return 'stands for another that was to be put in its place'
  const bits = Math.round(bitsOf(secret))
  return bits < ENOUGH_BITS ? `repeats itself or a known order (about ${bits} bits)` : undefined
}

/**
 * Upper bounds: that of its characters, of the steps between them in the alphabet (abcdef… has one) and on a keyboard
 * (qwerty… has, and 1qaz2wsx… four), and of what it repeats.
 */
function bitsOf(secret: string): number {
  const characters = [...secret]
  const unit = characters.slice(0, periodOf(characters))
  const codes = unit.map((character) => character.codePointAt(0) ?? 0)
  // What is on no key keeps its place among others of its kind.
  const keys = unit.map((character, index) => {
    const at = KEYBOARD.indexOf(character)
    return at < 0 ? KEYBOARD.length + (codes[index] ?? 0) : at
  })
  return Math.min(entropyOf(unit), entropyOf(stepsOf(codes)) + 8, entropyOf(stepsOf(keys)) + 8)
}

const stepsOf = (places: readonly number[]) =>
  places.slice(1).map((place, index) => place - (places[index] ?? 0))

/** Shannon's, of all of them together. */
function entropyOf(symbols: readonly unknown[]): number {
  const counts = new Map<unknown, number>()
  for (const symbol of symbols) counts.set(symbol, (counts.get(symbol) ?? 0) + 1)
  return -[...counts.values()].reduce((sum, count) => sum + count * Math.log2(count / symbols.length), 0)
}

/** After how many characters it begins anew (Knuth, Morris and Pratt); its length where it does not. */
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
