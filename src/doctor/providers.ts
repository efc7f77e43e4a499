import { callbackPath, discover, reasonOf } from '../accounts/identities/providers.ts'
import type { Config } from '../config/config.ts'
import { type Finding, fine, wrong } from './findings.ts'

/** Asks each identity provider for its endpoints, and says what has to be entered there. */
export async function* providersFindings({ oidc, PUBLIC_URL }: Config): AsyncGenerator<Finding> {
  for (const provider of oidc) {
    const { name, issuer } = provider
    try {
      await discover(provider)
      yield fine(name, `${issuer} answers; it must know ${PUBLIC_URL}${callbackPath(name)} as redirect URI`)
    } catch (error) {
      const setting = `OIDC_${name.toUpperCase()}_ISSUER`
      yield wrong(name, `${issuer} is no answering identity provider (${reasonOf(error)})`, `see ${setting}`)
    }
  }
}
