import { urlOf } from '../text/text-values.ts'
import { isIP } from 'node:net'
import type { Config } from './config.ts'

/** Longer than any host name (RFC 1035, 2.3.4) with a port. */
const LONGEST = 262

/**
 * Whether a Host header names this machine: loopback, the host of PUBLIC_URL, or HOST. Any other name may be that of a page
 * that made its own name resolve to this machine (DNS rebinding). That is not possible with IP addresses, so if HOST is a
 * wildcard address, any address is allowed.
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
    // The port counts; the scheme's default may be left out.
    return publicUrl !== undefined && hostOf(publicUrl.protocol, header)?.host === publicHost
  }
}

/** Parses a Host header like browsers; undefined if it is invalid (RFC 9110, 7.2). */
function hostOf(protocol: string, header: string | undefined): URL | undefined {
  if (header === undefined || header.length > LONGEST || !/^[\w.:[\]-]+$/.test(header)) return undefined
  return urlOf(`${protocol}//${header.replace(/\.(?=:\d*$|$)/, '')}`) // a name with its last dot is the same name
}

/** localhost names (RFC 6761, 6.3), and loopback addresses. */
const LOOPBACK =
  /^(?:localhost|(?:[a-z0-9-]+\.)+localhost|127(?:\.\d{1,3}){3}|\[::1\]|\[::ffff:7f[\da-f]{2}:[\da-f]{1,4}\])$/
