import ipaddr from 'ipaddr.js'

/**
 * Whom limits count as one: an IPv4 address, or the /64 of an IPv6 address, as whoever has one address of it has them
 * all (RFC 6177). An IPv4 address that is mapped into IPv6 (`::ffff:192.0.2.1`) is the IPv4 address. Some proxies
 * write a port behind the address; it does not count.
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
