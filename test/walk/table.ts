/** The contract's table as data: what the document and the answers of 405 have to agree with. */
export interface Operation {
  id: string
  method: string
  path: string
  /** Whether a token is asked for. */
  signedIn: boolean
  body: string | undefined
  answer: string
  /** Statuses that the row lists, besides the answer's own. */
  errors: number[]
}

const lines = `
login-login_access_token            POST   /login/access-token                    P Body_login-login_access_token Token 400 422
login-test_token                    POST   /login/test-token                      U - UserPublic 401
login-refresh_token                 POST   /login/refresh-token                   P RefreshToken Token 401 422
login-reauthenticate                POST   /login/reauthenticate                  U Reauthenticate Message 400 401 422
login-second_factor                 POST   /login/second-factor                   P SecondFactor Token 400 422
login-read_providers                GET    /login/providers                       P - ProvidersPublic
login-go_to_provider                GET    /login/oidc/{provider}                 P - redirect 404 422
login-come_back_from_provider       GET    /login/oidc/{provider}/callback        P - redirect 400 422
login-sign_in_with_provider         POST   /login/oidc/token                      P ProviderCode Token 400 422
login-passkey_options               POST   /login/passkey/options                 P - PublicKeyCredentialRequestOptionsJSON 400
login-passkey                       POST   /login/passkey                         P AuthenticationResponseJSON Token 400 422
login-logout                        POST   /login/logout                          U - Message 401
login-recover_password              POST   /password-recovery/{email}             P - Message 422
login-recover_password_html_content POST   /password-recovery-html-content/{email} S - text/html 401 403 404 422
login-reset_password                POST   /reset-password/                       P NewPassword Message 400 422
login-verify_email                  POST   /verify-email/                         P VerifyEmail Message 400 409 422
login-undo_email_change             POST   /undo-email-change/                    P UndoEmailChange Message 400 409 422
login-resend_verification           POST   /verify-email/resend                   P ResendVerification Message 422
users-read_users                    GET    /users/                                S - UsersPublic 401 403 422
users-create_user                   POST   /users/                                S UserCreate UserPublic 400 401 403 422
users-register_user                 POST   /users/signup                          P UserRegister UserPublic 400 422
users-read_user_me                  GET    /users/me                              U - UserPublic 401
users-update_user_me                PATCH  /users/me                              U UserUpdateMe UserPublic 401 403 409 422
users-update_password_me            PATCH  /users/me/password                     U UpdatePassword Message 400 401 422
users-delete_user_me                DELETE /users/me                              U - Message 401 403
users-read_sessions_me              GET    /users/me/sessions                     U - SessionsPublic 401 422
users-export_account                POST   /users/me/export                       U - AccountExport 401 403
users-create_api_key                POST   /users/me/api-keys                     U ApiKeyCreate ApiKeyCreated 400 401 403 422
users-read_api_keys                 GET    /users/me/api-keys                     U - ApiKeysPublic 401
users-delete_api_key                DELETE /users/me/api-keys/{id}                U - Message 401 403 404 422
users-read_user_api_keys            GET    /users/{user_id}/api-keys              S - ApiKeysPublic 401 403 404 422
users-delete_user_api_key           DELETE /users/{user_id}/api-keys/{id}         S - Message 401 403 404 422
users-read_identities               GET    /users/me/identities                   U - IdentitiesPublic 401
users-link_identity                 POST   /users/me/identities/{id}              U - ProviderUrl 401 403 404 422
users-delete_identity               DELETE /users/me/identities/{id}              U - Message 400 401 403 404 422
users-read_passkeys                 GET    /users/me/passkeys                     U - PasskeysPublic 401
users-create_passkey_options        POST   /users/me/passkeys/options             U - PublicKeyCredentialCreationOptionsJSON 400 401 403
users-create_passkey                POST   /users/me/passkeys                     U RegistrationResponseJSON PasskeyPublic 400 401 403 422
users-update_passkey                PATCH  /users/me/passkeys/{id}                U PasskeyUpdate PasskeyPublic 401 404 422
users-delete_passkey                DELETE /users/me/passkeys/{id}                U - Message 400 401 403 404 422
users-read_user_identities          GET    /users/{user_id}/identities            S - IdentitiesPublic 401 403 404 422
users-delete_user_identity          DELETE /users/{user_id}/identities/{id}       S - Message 401 403 404 422
users-read_user_passkeys            GET    /users/{user_id}/passkeys              S - PasskeysPublic 401 403 404 422
users-delete_user_passkey           DELETE /users/{user_id}/passkeys/{id}         S - Message 401 403 404 422
users-read_factors                  GET    /users/me/factors                      U - FactorsPublic 401
users-enroll_totp                   POST   /users/me/factors/totp                 U TotpEnroll TotpEnrollment 400 401 403 422
users-verify_totp                   POST   /users/me/factors/{id}/verify          U FactorCode NewRecoveryCodes 400 401 404 422
users-delete_factor                 DELETE /users/me/factors/{id}                 U - Message 401 403 404 422
users-create_recovery_codes         POST   /users/me/recovery-codes               U - NewRecoveryCodes 401 403
users-reset_factors                 DELETE /users/{user_id}/factors               S - Message 401 403 404 422
users-read_activity_me              GET    /users/me/activity                     U - AuditEventsPublic 401 422
users-delete_session_me             DELETE /users/me/sessions/{session_id}        U - Message 401 404 422
users-delete_sessions_me            DELETE /users/me/sessions                     U - Message 401
users-read_user_by_id               GET    /users/{user_id}                       U - UserPublic 401 403 404 422
users-update_user                   PATCH  /users/{user_id}                       S UserUpdate UserPublic 401 403 404 409 422
users-delete_user                   DELETE /users/{user_id}                       S - Message 401 403 404 422
items-read_items                    GET    /items/                                U - ItemsPublic 401 422
items-create_item                   POST   /items/                                U ItemCreate ItemPublic 401 422
items-create_items                  POST   /items/batch                           U ItemsCreate ItemsCreated 401 422
items-read_item                     GET    /items/{id}                            U - ItemPublic 401 403 404 422
items-update_item                   PUT    /items/{id}                            U ItemUpdate ItemPublic 401 403 404 422
items-delete_item                   DELETE /items/{id}                            U - Message 401 403 404 422
mails-read_mails                    GET    /mails/                                S - MailsPublic 401 403 422
mails-read_mail                     GET    /mails/{id}                            S - MailPublic 401 403 404 422
mails-retry_mail                    POST   /mails/{id}/retry                      S - MailPublic 401 403 404 409 422
audit-read_audit                    GET    /audit/                                S - AuditEventsPublic 401 403 422
utils-test_email                    POST   /utils/test-email/                     S - Message 401 403 422 503
utils-health_check                  GET    /utils/health-check/                   P - true
private-create_user                 POST   /private/users/                        P PrivateUserCreate UserPublic 400 422`

export const operations: Operation[] = lines
  .trim()
  .split('\n')
  .map((line) => {
    const [id = '', method = '', path = '', who, body, answer = '', ...errors] = line.split(/ +/)
    return {
      id,
      method,
      path,
      signedIn: who !== 'P',
      body: body === '-' ? undefined : body,
      answer,
      errors: errors.map(Number),
    }
  })

/** Every named component with its properties; `?` where a caller may leave it out. */
export const components: Record<string, string> = {
  UserPublic: 'id email is_active is_superuser is_verified full_name created_at',
  UserCreate: 'email password full_name? is_active? is_superuser?',
  UserRegister: 'email password full_name?',
  UserUpdate: 'email? password? full_name? is_active? is_superuser?',
  UserUpdateMe: 'full_name? email?',
  ItemPublic: 'id title description owner_id created_at',
  ItemCreate: 'title description?',
  ItemUpdate: 'title? description?',
  ItemsCreate: 'data',
  ItemsCreated: 'data',
  SessionPublic:
    'id created_at last_used_at expires_at authenticated_at methods user_agent ip_address is_current',
  SessionsPublic: 'data count next_cursor',
  AuditEventPublic:
    'id at event outcome reason actor_id subject_id session_id api_key_id ip request_id details',
  AuditEventsPublic: 'data next_cursor',
  RefreshToken: 'refresh_token',
  VerifyEmail: 'token',
  UndoEmailChange: 'token',
  Reauthenticate: 'password? code?',
  AccountExport: 'user sessions factors passkeys identities api_keys activity resources',
  ApiKeyPublic: 'id name permissions created_at expires_at last_used_at',
  ApiKeysPublic: 'data',
  ApiKeyCreate: 'name permissions expires_at?',
  ApiKeyCreated: 'id name permissions created_at expires_at last_used_at key',
  ProviderPublic: 'name url',
  ProvidersPublic: 'data',
  ProviderCode: 'code code_verifier?',
  ProviderUrl: 'url',
  IdentityPublic: 'id provider email created_at last_used_at',
  IdentitiesPublic: 'data',
  SecondFactor: 'challenge code',
  SecondFactorRequired: 'detail code challenge? methods? expires_in?',
  PublicKeyCredentialCreationOptionsJSON:
    'rp user challenge pubKeyCredParams timeout excludeCredentials authenticatorSelection attestation hints? extensions?',
  PublicKeyCredentialRequestOptionsJSON:
    'challenge rpId timeout allowCredentials userVerification hints? extensions?',
  RegistrationResponseJSON: 'id rawId type authenticatorAttachment? clientExtensionResults? response',
  AuthenticationResponseJSON: 'id rawId type authenticatorAttachment? clientExtensionResults? response',
  PasskeyPublic: 'id name credential_id transports backed_up created_at last_used_at',
  PasskeysPublic: 'data',
  PasskeyUpdate: 'name',
  FactorPublic: 'id kind name created_at last_used_at verified',
  FactorsPublic: 'data recovery_codes_left',
  TotpEnroll: 'name?',
  TotpEnrollment: 'id secret otpauth_uri',
  FactorCode: 'code',
  NewRecoveryCodes: 'recovery_codes',
  ResendVerification: 'email',
  MailPublic: 'id message recipient state tries last_error created_at next_try_at sent_at',
  MailsPublic: 'data count next_cursor',
  UsersPublic: 'data count next_cursor',
  ItemsPublic: 'data count next_cursor',
  Message: 'message',
  Token: 'access_token token_type? expires_in refresh_token',
  NewPassword: 'token new_password',
  UpdatePassword: 'current_password new_password',
  PrivateUserCreate: 'email password full_name is_verified?',
  'Body_login-login_access_token': 'grant_type? username password scope? client_id? client_secret? code?',
  HTTPValidationError: 'detail? code',
  ValidationError: 'loc msg type',
  HTTPError: 'detail code',
}
