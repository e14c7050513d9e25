/**
 * Anchors: which of them are there, what the user should hear of, and which two to rely on. The network
 * finds itself again through anchors, so one is little and none is a risk.
 */
import type { Warning } from '../peers/exchange.js'
import { isAnchor } from '../peers/state.js'
import type { Peer, State, Turn } from '../peers/state.js'
import { PathType, endpointToWire, networkOf, pathTypeOf } from '../wire/address.js'

/** At the start nobody has answered yet. */
const graceMs = 10_000

export type AnchorView = {
  /** Node ids, this node's own among them if it is one. */
  readonly live: readonly string[]
  /** Two on different networks where there are such; fewer where there are not. */
  readonly recommended: readonly string[]
  readonly warnings: readonly Warning[]
}

/** An anchor by where the rest of the world reaches it. */
type Standing = { readonly nodeId: string; readonly network: string; readonly since: number }

/** Its public address counts; within one LAN any address does. */
function networkAmong(endpoints: readonly string[]): string {
  const isPublic = (endpoint: string): boolean => {
    const wire = endpointToWire(endpoint)
    return wire !== undefined && pathTypeOf(wire) !== PathType.lan
  }
  const chosen = endpoints.find(isPublic) ?? endpoints[0]
  return (chosen === undefined ? undefined : networkOf(chosen)) ?? ''
}

function standingOf(peer: Peer): Standing {
  const endpoints = peer.record?.endpoints ?? peer.configured.endpoints
  return { nodeId: peer.id, network: networkAmong(endpoints), since: peer.since }
}

function liveAnchors({ self, live, startedAt }: State): Standing[] {
  const others = [...live].filter((peer) => isAnchor(peer) && peer.state !== 'leaving')
  const standing = others.map(standingOf)
  if (self.anchor) {
    const network = networkAmong(self.record?.endpoints ?? self.endpoints)
    standing.push({ nodeId: self.nodeId, network, since: startedAt })
  }
  // Who has been there longest is likeliest to stay.
  return standing.sort((one, other) => one.since - other.since)
}

function warningsOf(state: State, live: readonly Standing[], recommended: number): Warning[] {
  if (state.peers.size === 0) return []
  if (live.length === 0) {
    const message = 'no anchor is reachable: peers that move cannot be found again'
    return [{ code: 'NoAnchor', message }]
  }
  if (live.length === 1) {
    if (live[0]?.nodeId === state.self.nodeId) {
      const message = 'this node is the only anchor left: if it moves, others cannot find it'
      return [{ code: 'OnlyAnchor', message }]
    }
    const message = 'one anchor is left: if it fails, peers that move cannot be found again'
    return [{ code: 'OneAnchor', message }]
  }
  if (recommended > 1) return []
  const message = 'all anchors are on one network, whose address may change for all of them at once'
  return [{ code: 'AnchorsShareNetwork', message }]
}

export function anchorsOf(state: State): AnchorView {
  const live = liveAnchors(state)
  const [first] = live
  const second = live.find(({ network }) => network !== first?.network)
  const recommended = [first, second].flatMap((standing) => (standing ? [standing.nodeId] : []))
  return {
    live: live.map(({ nodeId }) => nodeId),
    recommended,
    warnings: warningsOf(state, live, recommended.length),
  }
}

/** Tells what has become true since the last time. */
export function assessAnchors({ state, now, effects }: Turn): void {
  if (now < state.startedAt + graceMs) {
    state.due.assess = state.startedAt + graceMs
    return
  }
  state.due.assess = Infinity
  const { warnings } = anchorsOf(state)
  const before = new Set(state.warnings.map(({ code }) => code))
  for (const warning of warnings) {
    if (!before.has(warning.code)) effects.push({ type: 'warn', ...warning })
  }
  state.warnings = warnings
}
