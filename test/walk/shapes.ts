/** What each field of an answer has to be. A body fits with exactly these keys. */
export type Shape = Record<string, (value: unknown) => boolean>

export const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isText = (value: unknown) => typeof value === 'string'
const isFlag = (value: unknown) => typeof value === 'boolean'
const isTextOrNull = (value: unknown) => value === null || isText(value)
const isCount = (value: unknown) => Number.isInteger(value) && Number(value) >= 0
const isId = (value: unknown) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(String(value))
const isIdOrNull = (value: unknown) => value === null || isId(value)
const isTime = (value: unknown) =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(String(value)) && !Number.isNaN(Date.parse(String(value)))
const isListOf = (shape: Shape) => (value: unknown) =>
  Array.isArray(value) && value.every((one) => misfits(shape, one).length === 0)

export const userPublic: Shape = {
  id: isId,
  email: isText,
  is_active: isFlag,
  is_superuser: isFlag,
  is_verified: isFlag,
  full_name: isTextOrNull,
  created_at: isTime,
}
export const itemPublic: Shape = {
  id: isId,
  title: isText,
  description: isTextOrNull,
  owner_id: isId,
  created_at: isTime,
}
const listOf = (shape: Shape): Shape => ({ data: isListOf(shape), count: isCount, next_cursor: isTextOrNull })
export const usersPublic = listOf(userPublic)
export const itemsPublic = listOf(itemPublic)
const sessionPublic: Shape = {
  id: isId,
  created_at: isTime,
  last_used_at: isTime,
  expires_at: isTime,
  authenticated_at: isTime,
  methods: (value) => Array.isArray(value) && value.every(isText),
  user_agent: isTextOrNull,
  ip_address: isTextOrNull,
  is_current: isFlag,
}
export const sessionsPublic = listOf(sessionPublic)
export const auditPublic: Shape = {
  data: isListOf({
    id: isId,
    at: isTime,
    event: isText,
    outcome: (value) => value === 'success' || value === 'failure',
    reason: isTextOrNull,
    actor_id: isIdOrNull,
    subject_id: isIdOrNull,
    session_id: isIdOrNull,
    api_key_id: isIdOrNull,
    ip: isTextOrNull,
    request_id: isTextOrNull,
    details: isMap,
  }),
  next_cursor: isTextOrNull,
}
const apiKeyPublic: Shape = {
  id: isId,
  name: isText,
  permissions: (value) => Array.isArray(value) && value.every(isText),
  created_at: isTime,
  expires_at: (value) => value === null || isTime(value),
  last_used_at: (value) => value === null || isTime(value),
}
export const apiKeysPublic: Shape = { data: isListOf(apiKeyPublic) }
export const apiKeyCreated: Shape = {
  ...apiKeyPublic,
  key: (value) => /^gw_[\w-]{49}$/.test(String(value)),
}
export const accountExport: Shape = {
  user: isMap,
  sessions: Array.isArray,
  factors: Array.isArray,
  passkeys: Array.isArray,
  identities: Array.isArray,
  api_keys: Array.isArray,
  activity: Array.isArray,
  resources: isMap,
}
export const providersPublic: Shape = { data: isListOf({ name: isText, url: isText }) }
export const identitiesPublic: Shape = {
  data: isListOf({
    id: isId,
    provider: isText,
    email: isTextOrNull,
    created_at: isTime,
    last_used_at: (value) => value === null || isTime(value),
  }),
}
export const passkeyPublic: Shape = {
  id: isId,
  name: isTextOrNull,
  credential_id: isText,
  transports: (value) => Array.isArray(value) && value.every(isText),
  backed_up: isFlag,
  created_at: isTime,
  last_used_at: (value) => value === null || isTime(value),
}
export const passkeysPublic: Shape = { data: isListOf(passkeyPublic) }
const isChallenge = (value: unknown) => /^[\w-]{43}$/.test(String(value))
export const creationOptions: Shape = {
  rp: isMap,
  user: isMap,
  challenge: isChallenge,
  pubKeyCredParams: Array.isArray,
  timeout: isCount,
  excludeCredentials: Array.isArray,
  authenticatorSelection: isMap,
  attestation: (value) => value === 'none',
  hints: Array.isArray,
  extensions: isMap,
}
export const requestOptions: Shape = {
  challenge: isChallenge,
  rpId: isText,
  timeout: isCount,
  allowCredentials: (value) => Array.isArray(value) && value.length === 0,
  userVerification: (value) => value === 'required',
}
export const factorsPublic: Shape = {
  data: isListOf({
    id: isId,
    kind: (value) => value === 'totp',
    name: isTextOrNull,
    created_at: isTime,
    last_used_at: (value) => value === null || isTime(value),
    verified: isFlag,
  }),
  recovery_codes_left: isCount,
}
export const totpEnrollment: Shape = { id: isId, secret: isText, otpauth_uri: isText }
export const recoveryCodes: Shape = {
  recovery_codes: (value) => Array.isArray(value) && value.every(isText),
}
export const secondFactorRequired: Shape = {
  detail: (value) => value === 'Second factor required',
  code: (value) => value === 'second_factor_required',
  challenge: isText,
  methods: (value) => Array.isArray(value) && value.join(' ') === 'totp recovery',
  expires_in: isCount,
}
export const token: Shape = {
  access_token: (value) => isText(value) && value.split('.').length === 3,
  token_type: (value) => value === 'bearer',
  expires_in: (value) => isCount(value) && Number(value) > 0,
  refresh_token: (value) => isText(value) && value !== '',
}

/** The keys at which a value differs from a shape; empty where it fits. */
export function misfits(shape: Shape, value: unknown): string[] {
  if (!isMap(value)) return ['an object']
  const strangers = Object.keys(value).filter((key) => !(key in shape))
  const wrong = Object.entries(shape).filter(([key, fits]) => !(key in value) || !fits(value[key]))
  return [...strangers.map((key) => `no ${key}`), ...wrong.map(([key]) => key)]
}

/** The rows of a list, in its order. */
export const rows = (body: unknown) =>
  isMap(body) && Array.isArray(body.data) ? body.data.filter(isMap) : []

export const ids = (body: unknown) => rows(body).map(({ id }) => id)
