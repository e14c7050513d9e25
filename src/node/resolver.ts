/**
 * Endpoints given by name. Each peer's names are looked up at once and, while none answers, again
 * after 1 s doubling to 60 s; addresses inside the tunnel are left out, since they would loop.
 */
import { isLiteral } from '../config/endpoint.js'
import type { Endpoint } from '../config/endpoint.js'
import { contains, parsePrefix } from '../config/prefix.js'
import type { PeerConfig } from '../config/config.js'

/** Addresses of a name; rejects when there are none. */
export type Lookup = (host: string) => Promise<readonly string[]>

const firstDelay = 1_000
const longestDelay = 60_000
/** Addresses kept of one name: round-robin names may have dozens, each a path to be probed. */
const mostAddresses = 4

export type Resolved = {
  readonly endpoints: readonly Endpoint[]
  /** Names that gave no address. */
  readonly failed: readonly string[]
  /** Addresses that lie inside the tunnel. */
  readonly looping: readonly string[]
}

/** Literal endpoints stay, names become addresses, in the order of the file. */
export async function resolveEndpoints(
  endpoints: readonly Endpoint[],
  tunnelled: readonly string[],
  lookup: Lookup,
): Promise<Resolved> {
  const inside = tunnelled.map(parsePrefix).filter((prefix) => prefix !== undefined)
  const failed: string[] = []
  const looping: string[] = []
  const found = await Promise.all(
    endpoints.map(async (endpoint) => {
      if (isLiteral(endpoint)) return [endpoint]
      const addresses = await lookup(endpoint.host).catch(() => [])
      if (addresses.length === 0) failed.push(endpoint.host)
      return addresses.slice(0, mostAddresses).flatMap((host) => {
        const address = parsePrefix(host)
        if (address === undefined) return []
        if (!inside.some((prefix) => contains(prefix, address)))
          return [{ host, port: endpoint.port }]
        looping.push(host)
        return []
      })
    }),
  )
  return { endpoints: found.flat(), failed, looping }
}

export type Resolver = {
  /** Starts, or starts anew, on a peer; forgets it when its endpoints are all literal. */
  watch(peer: PeerConfig): void
  forget(id: string): void
  close(): void
}

/**
 * @param onResolved called after each attempt
 * @param tunnelled all prefixes inside the tunnel, asked for at each attempt
 */
export function startResolver(
  lookup: Lookup,
  tunnelled: () => readonly string[],
  onResolved: (peer: PeerConfig, resolved: Resolved) => void,
): Resolver {
  type Watch = { timer: NodeJS.Timeout | undefined; cancelled: boolean }
  const watches = new Map<string, Watch>()

  const forget = (id: string): void => {
    const watch = watches.get(id)
    if (watch === undefined) return
    watch.cancelled = true
    clearTimeout(watch.timer)
    watches.delete(id)
  }

  const attempt = async (peer: PeerConfig, watch: Watch, delay: number): Promise<void> => {
    const resolved = await resolveEndpoints(peer.endpoints, tunnelled(), lookup)
    if (watch.cancelled) return
    onResolved(peer, resolved)
    if (resolved.failed.length === 0) return
    watch.timer = setTimeout(() => {
      void attempt(peer, watch, Math.min(delay * 2, longestDelay))
    }, delay)
  }

  return {
    watch: (peer) => {
      forget(peer.id)
      if (peer.endpoints.every(isLiteral)) return
      const watch: Watch = { timer: undefined, cancelled: false }
      watches.set(peer.id, watch)
      void attempt(peer, watch, firstDelay)
    },
    forget,
    close: () => {
      for (const id of [...watches.keys()]) forget(id)
    },
  }
}
