import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/** What an answer of an authenticator says, where it is not what is right. */
export interface Otherwise {
  readonly origin?: string
  readonly rpId?: string
  readonly challenge?: unknown
  readonly type?: string
  readonly isVerified?: boolean
  readonly counter?: number
  readonly userHandle?: string | null
  readonly id?: string
  readonly signature?: Buffer
  /** Of the attestation. */
  readonly format?: string
  readonly statement?: Map<unknown, unknown>
}

export interface Credential {
  readonly id: string
  readonly userHandle: string
  create(options: Options, otherwise?: Otherwise): object
  get(options: Options, otherwise?: Otherwise): object
}

interface Options {
  readonly challenge: string
}

const ORIGIN = 'http://localhost:8000'
const FLAGS = { present: 1, verified: 4, backupEligible: 8, backedUp: 16, attested: 64 }

/**
 * An authenticator in software (WebAuthn 3, ES256), with one passkey: what a browser and a device do between `options` and the
 * answer, as JSON.
 *
 * @param userHandle from the options that it is made by
 */
export function credential(
  userHandle: string,
  { id = randomBytes(16).toString('base64url') } = {},
): Credential {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const cose = new Map<unknown, unknown>([
    [1, 2],
    [3, -7],
    [-1, 1],
    [-2, Buffer.from(x, 'base64url')],
    [-3, Buffer.from(y, 'base64url')],
  ])

  const clientData = (type: string, { challenge }: Options, otherwise: Otherwise) =>
    Buffer.from(
      JSON.stringify({
        type,
        challenge,
        origin: ORIGIN,
        crossOrigin: false,
        ...only(otherwise, CLIENT_DATA),
      }),
    )
  const authenticatorData = (otherwise: Otherwise, attested: Buffer[] = []) => {
    const { rpId = 'localhost', isVerified = true, counter = 0 } = otherwise
    const flags =
      FLAGS.present |
      (isVerified ? FLAGS.verified : 0) |
      FLAGS.backupEligible |
      FLAGS.backedUp |
      (attested.length > 0 ? FLAGS.attested : 0)
    const count = Buffer.alloc(4)
    count.writeUInt32BE(counter)
    return Buffer.concat([sha256(Buffer.from(rpId)), Buffer.from([flags]), count, ...attested])
  }
  const around = (response: object, otherwise: Otherwise) => {
    const named = otherwise.id ?? id
    return { id: named, rawId: named, type: 'public-key', clientExtensionResults: {}, response }
  }

  return {
    id,
    userHandle,
    create(options, otherwise = {}) {
      const bytes = Buffer.from(otherwise.id ?? id, 'base64url')
      const length = Buffer.from([bytes.length >> 8, bytes.length & 255])
      const authData = authenticatorData(otherwise, [Buffer.alloc(16), length, bytes, cbor(cose)])
      const { format: fmt = 'none', statement: attStmt = new Map() } = otherwise
      const attestation = cbor(new Map<unknown, unknown>(Object.entries({ fmt, attStmt, authData })))
      return around(
        {
          clientDataJSON: clientData('webauthn.create', options, otherwise).toString('base64url'),
          attestationObject: attestation.toString('base64url'),
          transports: ['internal', 'hybrid'],
        },
        otherwise,
      )
    },
    get(options, otherwise = {}) {
      const data = clientData('webauthn.get', options, otherwise)
      const authData = authenticatorData(otherwise)
      const signed = Buffer.concat([authData, sha256(data)])
      const handle = otherwise.userHandle === undefined ? userHandle : otherwise.userHandle
      return around(
        {
          clientDataJSON: data.toString('base64url'),
          authenticatorData: authData.toString('base64url'),
          signature: (otherwise.signature ?? sign('sha256', signed, privateKey)).toString('base64url'),
          ...(handle !== null && { userHandle: handle }),
        },
        otherwise,
      )
    },
  }
}

const CLIENT_DATA = ['origin', 'challenge', 'type'] as const

const only = (otherwise: Otherwise, names: readonly (keyof Otherwise)[]) =>
  Object.fromEntries(names.filter((name) => name in otherwise).map((name) => [name, otherwise[name]]))

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest()

/** CBOR (RFC 8949) of what authenticators send: integers, texts, bytes, lists and maps. */
function cbor(value: unknown): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value)
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)])
  const entries = [...(value as Map<unknown, unknown>)]
  return Buffer.concat([head(5, entries.length), ...entries.flat().map(cbor)])
}

function head(kind: number, length: number): Buffer {
  if (length < 24) return Buffer.from([(kind << 5) | length])
  if (length < 256) return Buffer.from([(kind << 5) | 24, length])
  return Buffer.from([(kind << 5) | 25, length >> 8, length & 255])
}
