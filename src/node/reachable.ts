/** Which of this machine's addresses its peers are told, and in which order. */
import { parseEndpoint, formatEndpoint } from '../config/endpoint.js'
import { contains, parsePrefix } from '../config/prefix.js'
import type { Prefix } from '../config/prefix.js'

/** A record holds eight endpoints. */
const mostEndpoints = 8

function prefixes(...texts: readonly string[]): Prefix[] {
  return texts.map(parsePrefix).filter((prefix) => prefix !== undefined)
}

/** Loopback, link-local (it needs a zone), unspecified and multicast: no peer can send there. */
const useless = prefixes(
  ...['127.0.0.0/8', '169.254.0.0/16', '0.0.0.0/8', '224.0.0.0/3'],
  ...['::1/128', '::/128', 'fe80::/10', 'ff00::/8'],
)
/** Private use (RFC 1918, RFC 6598, RFC 4193): reached from the same network only. */
const local = prefixes(
  ...['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'],
)

/** Global IPv6, which no translation changes, then global IPv4, then what is local. */
function rank(address: Prefix): number {
  if (local.some((prefix) => contains(prefix, address))) return 2
  return address.family === 6 ? 0 : 1
}

/**
 * @param sockets where we listen, as `ip:port`
 * @param tunnelled prefixes inside the tunnel, where nobody reaches the tunnel itself
 */
export function reachableEndpoints(
  sockets: readonly string[],
  tunnelled: readonly string[],
): string[] {
  const left = [...useless, ...prefixes(...tunnelled)]
  const usable = sockets.flatMap((text) => {
    const endpoint = parseEndpoint(text)
    const address = endpoint && parsePrefix(endpoint.host)
    if (endpoint === undefined || address === undefined) return []
    if (left.some((prefix) => contains(prefix, address))) return []
    return [{ text: formatEndpoint(endpoint), rank: rank(address) }]
  })
  const best = usable.sort((one, other) => one.rank - other.rank).map(({ text }) => text)
  return [...new Set(best)].slice(0, mostEndpoints)
}
