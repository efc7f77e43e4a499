import ipaddr from 'ipaddr.js'

/** Parses an address or a CIDR block of TRUST_PROXY; undefined if it is neither. */
export function blockOf(
  text: string,
): { readonly version: 4 | 6; readonly prefix: number; readonly isPublic: boolean } | undefined {
  const [address = '', bits, ...rest] = text.split('/')
  if (rest.length > 0 || !ipaddr.isValid(address) || !/^[\d.]+$|:/.test(address) || address.includes('%'))
    return undefined
  const parsed = ipaddr.parse(address)
  if (parsed instanceof ipaddr.IPv4 && !ipaddr.IPv4.isValidFourPartDecimal(address)) return undefined
  const most = parsed.kind() === 'ipv4' ? 32 : 128
  if (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > most)) return undefined
  const prefix = bits === undefined ? most : Number(bits)
  if (parsed instanceof ipaddr.IPv4)
    return { version: 4, prefix, isPublic: isPublic(ipaddr.IPv4, text, prefix) }
  if (parsed.match(ALL_OF_IPV4, Math.min(prefix, 96)))
    return prefix > 96
      ? blockOf(`${parsed.toIPv4Address().toString()}/${prefix - 96}`)
      : { version: 4, prefix: 0, isPublic: true }
  return { version: 6, prefix, isPublic: isPublic(ipaddr.IPv6, text, prefix) }
}

/** ::ffff:0:0/96, IPv4-mapped addresses; a larger block around it trusts every IPv4 address. */
const ALL_OF_IPV4 = ipaddr.IPv6.parse('::ffff:0:0')

/** Whether it contains public addresses. By its first and last one: 172.16.0.0/8 begins at 172.0.0.0. */
function isPublic(kind: typeof ipaddr.IPv4 | typeof ipaddr.IPv6, text: string, prefix: number): boolean {
  const block = text.includes('/') ? text : `${text}/${prefix}`
  const ends = [kind.networkAddressFromCIDR(block), kind.broadcastAddressFromCIDR(block)]
  return ends.some((end) => end.range() === 'unicast')
}

/** Prefix lengths of the largest private blocks: 10.0.0.0/8 and fc00::/7. */
const LARGEST = { 4: 8, 6: 7 } as const
/** Somewhat larger than the largest blocks of one provider: Cloudflare's 104.16.0.0/13 and 2400:cb00::/32. */
const LARGEST_PUBLIC = { 4: 12, 6: 24 } as const

/** `all`: every client can forge its address. `many`: clients in a large part of the internet can. */
export function breadthOf(blocks: readonly string[]): 'all' | 'many' | 'wide' | 'few' {
  const found = blocks.flatMap((text) => blockOf(text) ?? [])
  if (found.some(({ prefix }) => prefix === 0)) return 'all'
  const share = (version: 4 | 6) =>
    found
      .filter((block) => block.version === version && block.isPublic)
      .reduce((sum, { prefix }) => sum + 2 ** -prefix, 0)
  if (found.some(({ version, prefix }) => prefix < LARGEST[version])) return 'many'
  if (([4, 6] as const).some((version) => share(version) > 2 ** -LARGEST[version])) return 'many'
  return found.some(({ version, prefix, isPublic }) => isPublic && prefix < LARGEST_PUBLIC[version])
    ? 'wide'
    : 'few'
}
