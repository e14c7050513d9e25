/**
 * Where to try a peer. What it says of itself comes first, then what others see, what the cache knows
 * and what the configuration says: a peer's own word cannot be pushed aside by anybody else's.
 */
import {
  PathType,
  canonicalEndpoint,
  endpointToWire,
  networkOf,
  pathTypeOf,
} from '../wire/address.js'
import type { Candidate, Source } from './exchange.js'
import type { Peer, State, Turn } from './state.js'

/** Each is probed; announced and gossiped addresses are limited to as many. */
const mostCandidates = 8
/** What somebody saw is no longer true some time after. */
export const hintLifetimeMs = 600_000

/** Whether the endpoint is of a local network that we are not in. */
function isForeign(endpoint: string, networks: ReadonlySet<string | undefined>): boolean {
  const wire = endpointToWire(endpoint)
  return (
    wire !== undefined && pathTypeOf(wire) === PathType.lan && !networks.has(networkOf(endpoint))
  )
}

function candidatesOf(state: State, peer: Peer, now: number): Candidate[] {
  const networks = new Set(state.self.endpoints.map(networkOf))
  const attested = peer.record?.endpoints ?? []
  const near = attested.filter((endpoint) => !isForeign(endpoint, networks))
  const far = attested.filter((endpoint) => isForeign(endpoint, networks))
  const hints = peer.hints.filter(({ at }) => at + hintLifetimeMs > now)
  const bySource: readonly (readonly [Source, readonly string[]])[] = [
    ['self-attested', [...near, ...far]],
    ['observed', hints.map(({ endpoint }) => endpoint)],
    ['cached', peer.cached],
    ['configured', peer.configured.endpoints],
  ]
  const known = new Map<string, Candidate>()
  for (const [source, endpoints] of bySource) {
    for (const text of endpoints) {
      const canonical = canonicalEndpoint(text)
      // Equal strings are kept once: of thousands of peers that is much.
      const endpoint = canonical === text ? text : canonical
      if (endpoint !== undefined && !known.has(endpoint)) known.set(endpoint, { endpoint, source })
    }
  }
  return [...known.values()].slice(0, mostCandidates)
}

/** Tells where to try the peer, if that is another answer than the last. */
export function refreshCandidates({ state, now, effects }: Turn, peer: Peer): void {
  const candidates = candidatesOf(state, peer, now)
  const same =
    candidates.length === peer.candidates.length &&
    candidates.every(({ endpoint, source }, i) => {
      const before = peer.candidates[i]
      return before?.endpoint === endpoint && before.source === source
    })
  if (same) return
  peer.candidates = candidates
  effects.push({ type: 'endpoints', peer: peer.id, candidates })
}
