import type { Config } from '../config.ts'
import { type Finding, doubtful, fine, wrong } from './findings.ts'

/** What can be told from the environment alone. */
export function* settingsFindings(config: Config, faults: readonly string[]): Generator<Finding> {
  if (faults.length === 0) yield fine('environment', `${config.ENVIRONMENT}; every name is right`)
  for (const fault of faults) {
    const [name = '', ...words] = fault.split(': ')
    yield wrong('environment', name, words.join(': '))
  }
  yield secretFinding(config)
  yield* corsFindings(config)
  yield* proxyFindings(config)
}

/** RFC 7518, 3.2: a key of HS256 has 256 bits at least. What was typed by hand has fewer than its length promises. */
const ENOUGH_BITS = 100

function secretFinding({ SECRET_KEY, ENVIRONMENT }: Config): Finding {
  if (SECRET_KEY === '')
    return ENVIRONMENT === 'local'
      ? fine('secret', 'made at the first start, in DATA_DIR')
      : wrong('secret', 'SECRET_KEY is not set', 'openssl rand -base64 32')
  const bits = Math.round(entropy(SECRET_KEY))
  return bits >= ENOUGH_BITS
    ? fine('secret', `${Buffer.byteLength(SECRET_KEY)} bytes`)
    : doubtful('secret', `SECRET_KEY repeats itself (about ${bits} bits)`, 'openssl rand -base64 32')
}

/** Shannon's, of the characters: an upper bound, which random text of 32 bytes passes. */
function entropy(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  const { length } = [...text]
  return -[...counts.values()].reduce((sum, count) => sum + count * Math.log2(count / length), 0)
}

function* corsFindings({ corsOrigins, ENVIRONMENT }: Config): Generator<Finding> {
  if (corsOrigins.length === 0) yield fine('cors', 'no frontend on another origin')
  else yield fine('cors', `allowed: ${corsOrigins.join(', ')}`)
  for (const origin of corsOrigins)
    if (ENVIRONMENT !== 'local' && origin.startsWith('http:'))
      yield doubtful(
        'cors',
        `${origin} is plain HTTP`,
        'whoever is in between acts as that frontend; use https',
      )
}

function* proxyFindings({ trustedProxies, ENVIRONMENT }: Config): Generator<Finding> {
  const everybody = trustedProxies.filter((network) => network.endsWith('/0'))
  if (everybody.length > 0)
    yield wrong(
      'proxy',
      `TRUST_PROXY trusts everybody (${everybody.join(', ')})`,
      "name the proxy's own addresses, or clients choose the address that they are limited by",
    )
  else if (trustedProxies.length > 0)
    yield fine('proxy', `X-Forwarded-For counts from ${trustedProxies.join(', ')}`)
  else if (ENVIRONMENT === 'local') yield fine('proxy', 'none')
  else
    yield doubtful(
      'proxy',
      'TRUST_PROXY is not set',
      'behind a proxy all clients share its address and its limits; name it, or ignore this where there is none',
    )
}
