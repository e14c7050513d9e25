/**
 * What anchors see of others' addresses, and what we make of it. An anchor that sees a peer at an address
 * which that peer has not told of says so to its neighbours: the peer may be unable to.
 *
 * Invariants: a report is advice, at most three are kept of a peer, one of each reporter; it ends, it is not
 * passed on, and it stands behind all that the peer says itself.
 */
import { hintLifetimeMs, refreshCandidates } from '../peers/candidates.js'
import { isAnchor, reject, send } from '../peers/state.js'
import type { Peer, Turn } from '../peers/state.js'
import { canonicalEndpoint, endpointToWire, isUsable } from '../wire/address.js'
import { Kind, encodeObservation, encodeUpdate } from '../wire/messages.js'
import type { Observation } from '../wire/messages.js'

const mostHints = 3
/** An anchor's direct neighbours that hear of it; the peer itself tells everybody as soon as it can. */
const mostTold = 32
/** Of us, as many as anchors may be. */
const mostSeen = 16

/** Tells neighbours where a session with the peer is now, if this node is an anchor and it is news. */
export function report(turn: Turn, peer: Peer): void {
  const { state } = turn
  const endpoint = peer.endpoint === null ? undefined : canonicalEndpoint(peer.endpoint)
  const wire = endpoint === undefined ? undefined : endpointToWire(endpoint)
  if (!state.self.anchor || endpoint === undefined || wire === undefined || !isUsable(wire)) return
  if (peer.reported === endpoint || (peer.record?.endpoints.includes(endpoint) ?? false)) return
  peer.reported = endpoint
  const part = encodeObservation({ subject: peer.id, endpoint })
  if (part === undefined) return
  const body = encodeUpdate({ observations: [part] })
  const others = [...state.sessions].filter((other) => other !== peer)
  const anchors = others.filter(isAnchor)
  const rest = state.random.sample(
    others.filter((other) => !isAnchor(other)),
    mostTold,
  )
  for (const other of [...anchors, ...rest].slice(0, mostTold)) {
    send(turn, other, Kind.update, body)
  }
}

/** A neighbour's report about a third peer. */
export function takeObservation(turn: Turn, from: Peer, { subject, endpoint }: Observation): void {
  const { state, now } = turn
  const peer = state.peers.get(subject)
  if (peer === undefined || peer === from) {
    reject(turn, 'subject', from.id)
    return
  }
  if (peer.record?.endpoints.includes(endpoint) === true) return
  const others = peer.hints.filter(({ by, at }) => by !== from.id && at + hintLifetimeMs > now)
  const rank = (by: string): number => Number(state.peers.get(by)?.configured.anchor ?? false)
  peer.hints = [{ endpoint, by: from.id, at: now }, ...others]
    .sort((one, other) => rank(other.by) - rank(one.by) || other.at - one.at)
    .slice(0, mostHints)
  refreshCandidates(turn, peer)
}

/** A peer's word about our own address. */
export function takeSeen({ state, now }: Turn, by: string, text: string): void {
  const endpoint = canonicalEndpoint(text)
  const wire = endpoint === undefined ? undefined : endpointToWire(endpoint)
  if (endpoint === undefined || wire === undefined || !isUsable(wire)) return
  const { seen } = state.self
  seen.delete(by)
  seen.set(by, { endpoint, at: now })
  for (const oldest of seen.keys()) {
    if (seen.size <= mostSeen) break
    seen.delete(oldest)
  }
}
