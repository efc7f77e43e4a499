import { isIP } from 'node:net'
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
  VerifiedAuthenticationResponse,
  VerifiedRegistrationResponse,
} from '@simplewebauthn/server'
import type { Config } from '../../config/config.ts'
import { PasskeysUnavailable } from '../../contract/errors.ts'
import { urlOf } from '../../text/text-values.ts'

/**
 * What authenticators are asked for, and what they answer (WebAuthn 3). Passkeys are bound to the host of FRONTEND_HOST, else of
 * PUBLIC_URL, and never to one that a header names. User verification is asked for and checked both ways, so that a passkey
 * counts as two factors.
 */
export function webauthn(config: Pick<Config, 'linkBase' | 'PROJECT_NAME'>) {
  /** @throws PasskeysUnavailable */
  const party = () => partyOf(config) ?? refuse()

  return {
    /** @param known credentials of the user, which the browser does not make again */
    async creationOptions(
      user: NewOwner,
      known: readonly string[],
    ): Promise<PublicKeyCredentialCreationOptionsJSON> {
      const { id: rpID } = party()
      const { generateRegistrationOptions } = await library()
      return generateRegistrationOptions({
        rpName: config.PROJECT_NAME,
        rpID,
        userID: new Uint8Array(Buffer.from(user.handle, 'base64url')),
        userName: user.email,
        userDisplayName: user.full_name ?? user.email,
        timeout: CHALLENGE_SECONDS * 1000,
        attestationType: 'none',
        excludeCredentials: known.map((id) => ({ id })),
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      })
    },

    /** No credential is named: the authenticator offers those that it has, and nobody learns who has any. */
    async requestOptions(): Promise<PublicKeyCredentialRequestOptionsJSON> {
      const { id: rpID } = party()
      const { generateAuthenticationOptions } = await library()
      const timeout = CHALLENGE_SECONDS * 1000
      return generateAuthenticationOptions({
        rpID,
        timeout,
        allowCredentials: [],
        userVerification: 'required',
      })
    },

    /** @returns the new credential, and the challenge that it answers, which is still to be found; undefined where anything is wrong */
    async readCreated(response: RegistrationResponseJSON): Promise<Created | undefined> {
      const { id: expectedRPID, origin: expectedOrigin } = party()
      const { verifyRegistrationResponse } = await library()
      const challenge = await challengeOf(response)
      if (challenge === undefined || !(await isWithoutCertificates(response))) return undefined
      const expected = { response, expectedChallenge: challenge, expectedOrigin, expectedRPID }
      const { verified, registrationInfo } = await orUnverified<VerifiedRegistrationResponse>(() =>
        verifyRegistrationResponse({ ...expected, requireUserVerification: true }),
      )
      if (!verified || registrationInfo === undefined) return undefined
      const { credential, credentialDeviceType, credentialBackedUp } = registrationInfo
      if (credential.id.length > LONGEST_ID) return undefined
      return {
        challenge,
        credential_id: credential.id,
        public_key: Buffer.from(credential.publicKey).toString('base64url'),
        counter: credential.counter,
        backup_eligible: credentialDeviceType === 'multiDevice',
        backed_up: credentialBackedUp,
      }
    },

    /** @returns the counter and whether it is backed up; undefined where anything is wrong */
    async readUsed(
      response: AuthenticationResponseJSON,
      { challenge, credential_id, public_key }: Known,
    ): Promise<Used | undefined> {
      const { id: expectedRPID, origin: expectedOrigin } = party()
      const { verifyAuthenticationResponse } = await library()
      // The counter is compared by the statement that signs in, after the signature and not before it as the library does.
      const publicKey = new Uint8Array(Buffer.from(public_key, 'base64url'))
      const credential = { id: credential_id, publicKey, counter: 0 }
      const expected = { response, expectedChallenge: challenge, expectedOrigin, expectedRPID, credential }
      const { verified, authenticationInfo } = await orUnverified<VerifiedAuthenticationResponse>(() =>
        verifyAuthenticationResponse({ ...expected, requireUserVerification: true }),
      )
      if (!verified || authenticationInfo === undefined) return undefined
      return { counter: authenticationInfo.newCounter, backed_up: authenticationInfo.credentialBackedUp }
    },
  }
}

/** Of an id of a credential in base64url: 1,023 bytes (WebAuthn 3, 7.1). */
export const LONGEST_ID = 1364

/** How long a challenge lives. */
export const CHALLENGE_SECONDS = 300

interface NewOwner {
  /** What authenticators know the user by. */
  readonly handle: string
  readonly email: string
  readonly full_name: string | null
}

interface Created {
  readonly challenge: string
  readonly credential_id: string
  readonly public_key: string
  readonly counter: number
  readonly backup_eligible: boolean
  readonly backed_up: boolean
}

type Known = Pick<Created, 'challenge' | 'credential_id' | 'public_key'>
type Used = Pick<Created, 'counter' | 'backed_up'>

/** Loaded when first used: most installations have no passkeys. */
const library = () => import('@simplewebauthn/server')
const helpers = () => import('@simplewebauthn/server/helpers')

/**
 * Host and origin that passkeys are bound to; undefined where there is no name of a host: browsers make none for IP addresses.
 */
export function partyOf({ linkBase }: Pick<Config, 'linkBase'>): { id: string; origin: string } | undefined {
  const { hostname, origin } = urlOf(linkBase) ?? {}
  if (hostname === undefined || origin === undefined || isIP(hostname.replace(/^\[(.*)\]$/, '$1')) > 0)
    return undefined
  return { id: hostname, origin }
}

const refuse = (): never => {
  throw new PasskeysUnavailable()
}

/** The challenge that an answer is for, if it has the form of one of ours; a text of another form never gets to the database. */
export async function challengeOf({
  response: { clientDataJSON },
}: RegistrationResponseJSON | AuthenticationResponseJSON): Promise<string | undefined> {
  const { decodeClientDataJSON } = await helpers()
  try {
    const { challenge } = decodeClientDataJSON(clientDataJSON)
    return typeof challenge === 'string' && /^[\w-]{43}$/.test(challenge) ? challenge : undefined
  } catch {
    return undefined
  }
}

/** No certificates are asked for, and browsers send none: chains to read, and lists of revoked ones to fetch, stay outside. */
async function isWithoutCertificates({ response }: RegistrationResponseJSON): Promise<boolean> {
  const { decodeAttestationObject, isoBase64URL } = await helpers()
  try {
    const attestation = decodeAttestationObject(isoBase64URL.toBuffer(response.attestationObject))
    const format = attestation.get('fmt')
    return format === 'none' || (format === 'packed' && attestation.get('attStmt').get('x5c') === undefined)
  } catch {
    return false
  }
}

/** The library throws whatever is wrong, also for what is no base64url or CBOR. */
async function orUnverified<Verified extends { verified: boolean }>(verify: () => Promise<Verified>) {
  try {
    return await verify()
  } catch {
    return { verified: false } as Verified & { verified: false }
  }
}
