/**
 * Whether a Host header names this machine, or is the one of PUBLIC_URL. Any other name may be one that somebody
 * else's page let point here, to read with the reader's browser what it finds (DNS rebinding).
 */
export function isOwnHost(host: string | undefined, publicUrl: string | undefined): boolean {
  const url = `http://${host ?? ''}`
  if (!URL.canParse(url)) return false
  const { hostname, host: given } = new URL(url)
  return LOOPBACK.test(hostname) || (publicUrl !== undefined && given === new URL(publicUrl).host)
}

/** Names that resolve to this machine whatever a name server says (RFC 6761, 6.3), and its addresses. */
const LOOPBACK = /^(?:localhost|(?:[a-z0-9-]+\.)+localhost|127(?:\.\d{1,3}){3}|\[::1\])$/
