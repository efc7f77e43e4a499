import { BlockList, isIP, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * What limits count as one client: an IPv4 address, or the /64 of an IPv6 address, as one client has all addresses of it
 * (RFC 6177). An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) is the IPv4 address. A port, as some proxies add, is ignored.
 *
 * @param ip as Fastify gives it: none where the connection is gone or is no network's
 */
export function networkOf(ip: string | undefined): string {
  if (ip === undefined || !ip.includes(':')) return ip ?? ''
  const bare = ip.replace(/^\[(.*)\](?::\d+)?$|^([\d.]+):\d+$/, '$1$2')
  if (!ipaddr.isValid(bare)) return ip
  const address = ipaddr.process(bare)
  if (address instanceof ipaddr.IPv4) return address.toString()
  const prefix = address.parts.slice(0, 4).map((part) => part.toString(16))
  return `${prefix.join(':')}::/64`
}

/** Longest chain of proxies that is believed. */
const MOST_HOPS = 32

/**
 * Whether an address is one of `blocks` (addresses and CIDR blocks), for Fastify's `trustProxy` too: there `hop` is its
 * place in X-Forwarded-For, which may be as long as the head of a request.
 */
export function trustOf(blocks: readonly string[]): (address: string | undefined, hop?: number) => boolean {
  const trusted = new BlockList()
  for (const block of blocks) {
    const [address = '', prefix] = block.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (prefix === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, Number(prefix), family)
  }
  return (address = '', hop = 0) =>
    hop < MOST_HOPS && isIP(address) !== 0 && trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

/**
 * The /48 around an IPv6 network, as one client (a company, anybody with a tunnel) may have all of its 65,536 networks;
 * undefined for IPv4.
 */
export function siteOf(network: string): string | undefined {
  if (!network.endsWith('::/64')) return undefined
  return `${network.split(':', 3).join(':')}::/48`
}

/**
 * The client in X-Forwarded-For: the last address that is not a trusted proxy's. Each proxy appends the address that it was
 * asked by, so what stands before an untrusted address could be forged. A value that is no address (`unknown`, a name) ends
 * the chain: the client is the proxy after it.
 *
 * @returns undefined where the chain begins at the first proxy
 */
export function forwardedFor(
  header: string,
  trusts: (address: string | undefined, hop?: number) => boolean,
): string | undefined {
  let client: string | undefined
  for (let end = header.length, hop = 0; end >= 0 && hop < MOST_HOPS; hop += 1) {
    const comma = end === 0 ? -1 : header.lastIndexOf(',', end - 1)
    const address = addressIn(header.slice(comma + 1, end))
    if (address === undefined) return client
    client = address
    if (!trusts(address)) return client
    end = comma
  }
  return client
}

/** Longer than any address with port, brackets and quotes. */
const LONGEST = 64

/** An address as proxies write it: some with a port, in brackets, in quotes (RFC 7239, 6). */
function addressIn(entry: string): string | undefined {
  const text = entry.length > 4 * LONGEST ? '' : entry.trim().replace(/^"(.*)"$/, '$1')
  if (text.length > LONGEST) return undefined
  const [, bracketed, dotted] = /^\[([^\]]*)\](?::\d{1,5})?$|^([\d.]+):\d{1,5}$/.exec(text) ?? []
  const address = bracketed ?? dotted ?? text
  if (isIP(address) === 0 || (bracketed !== undefined && !isIPv6(address))) return undefined
  return isIPv6(address) ? ipaddr.process(address.split('%', 1)[0] ?? '').toString() : address
}
