import { isIP } from 'node:net'
import type { Config } from './config.ts'

/** Longer than any name (RFC 1035, 2.3.4) with its port. */
const LONGEST = 262

/**
 * Whether a Host header names this machine: loopback, the host of PUBLIC_URL, or the address of HOST. Any other name may
 * be one that somebody else's page let point here, to do with the reader's browser what it likes (DNS rebinding). An
 * address can't be pointed elsewhere, so that where HOST is every address of this machine, any will do.
 */
export function ownHosts({
  HOST,
  PUBLIC_URL,
}: Pick<Config, 'HOST' | 'PUBLIC_URL'>): (host: string | undefined) => boolean {
  const own = hostOf('http:', HOST.includes(':') ? `[${HOST}]` : HOST)?.hostname
  const isEveryAddress = own === '0.0.0.0' || own === '[::]'
  const publicUrl = PUBLIC_URL === undefined ? undefined : new URL(PUBLIC_URL)
  const publicHost = publicUrl && hostOf(publicUrl.protocol, publicUrl.host)?.host

  return (header) => {
    const here = hostOf('http:', header)
    if (here === undefined) return false
    if (LOOPBACK.test(here.hostname) || here.hostname === own) return true
    if (isEveryAddress && isIP(here.hostname.replace(/^\[(.*)\]$/, '$1')) > 0) return true
    // Its port counts, and may be left out where it is that of the scheme.
    return publicUrl !== undefined && hostOf(publicUrl.protocol, header)?.host === publicHost
  }
}

/** A Host header as browsers see it; undefined for what is none (RFC 9110, 7.2). */
function hostOf(protocol: string, header: string | undefined): URL | undefined {
  if (header === undefined || header.length > LONGEST || !/^[\w.:[\]-]+$/.test(header)) return undefined
  const url = `${protocol}//${header.replace(/\.(?=:\d*$|$)/, '')}` // a name with its last dot is the same name
  return URL.canParse(url) ? new URL(url) : undefined
}

/** Names that resolve to this machine whatever a name server says (RFC 6761, 6.3), and its addresses. */
const LOOPBACK =
  /^(?:localhost|(?:[a-z0-9-]+\.)+localhost|127(?:\.\d{1,3}){3}|\[::1\]|\[::ffff:7f[\da-f]{2}:[\da-f]{1,4}\])$/
