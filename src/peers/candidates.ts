/**
 * Where to try a peer. What it says of itself comes first, then what others see, what the cache knows
 * and what the configuration says: a peer's own word cannot be pushed aside by anybody else's.
 */
import { canonicalEndpoint, networkOf } from '../wire/address.js'
import type { Candidate, Source } from './exchange.js'
import type { HeldRecord, Peer, State, Turn } from './state.js'

/** Each is probed; announced and gossiped addresses are limited to as many. */
const mostCandidates = 8
/** What somebody saw is no longer true some time after. */
export const hintLifetimeMs = 600_000

/** Those of a record's local endpoints that are of networks which we are not in. */
function foreignOf({ self }: State, local: readonly string[]): readonly string[] {
  if (local.length === 0) return local
  const networks = new Set(self.endpoints.map(networkOf))
  return local.filter((endpoint) => !networks.has(networkOf(endpoint)))
}

function candidatesOf(state: State, peer: Peer, now: number): Candidate[] {
  const candidates: Candidate[] = []
  const add = (source: Source, endpoint: string): void => {
    const isNew = candidates.every((known) => known.endpoint !== endpoint)
    if (isNew && candidates.length < mostCandidates) candidates.push({ endpoint, source })
  }
  /** What came in a message is in its one spelling already. */
  const respelled = (source: Source, text: string): void => {
    if (candidates.some(({ endpoint }) => endpoint === text)) return
    const canonical = canonicalEndpoint(text)
    // Equal strings are kept once: of thousands of peers that is much.
    if (canonical !== undefined) add(source, canonical === text ? text : canonical)
  }
  const { endpoints: attested, local } = peer.record ?? nothing
  const far = foreignOf(state, local)
  for (const endpoint of attested) if (!far.includes(endpoint)) add('self-attested', endpoint)
  for (const endpoint of far) add('self-attested', endpoint)
  for (const { endpoint, at } of peer.hints) {
    if (at + hintLifetimeMs > now) add('observed', endpoint)
  }
  for (const text of peer.cached) respelled('cached', text)
  for (const text of peer.configured.endpoints) respelled('configured', text)
  // An array that was pushed to has room for more; a copy has none, and thousands are kept.
  return candidates.slice()
}

const nothing: Pick<HeldRecord, 'endpoints' | 'local'> = { endpoints: [], local: [] }

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

export function refreshAll(turn: Turn): void {
  for (const peer of turn.state.peers.values()) refreshCandidates(turn, peer)
}
