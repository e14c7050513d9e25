/** The mesh machine's state as values, for status, metrics and diagnosis. Pure. */
import { anchorsOf } from '../anchors/anchors.js'
import type { AnchorView } from '../anchors/anchors.js'
import type { MemberState } from '../peers/exchange.js'
import { isAnchor } from '../peers/state.js'
import type { Peer } from '../peers/state.js'
import type { Phase } from '../wire/record.js'
import type { Mesh } from './mesh.js'

/** One peer, for people and programs. */
type MemberView = {
  readonly nodeId: string
  readonly state: MemberState
  readonly suspected: boolean
  /** Configured as one, or saying so itself. */
  readonly anchor: boolean
  /** Of its record; null without one. */
  readonly sequence: number | null
  /** Self-attested. */
  readonly endpoints: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  /** What others say of its address. */
  readonly observed: readonly { readonly endpoint: string; readonly by: string }[]
}

export type MeshView = {
  readonly phase: Phase
  /** Of this node's own record; 0 before the first. */
  readonly sequence: number
  /** What this node tells of itself. */
  readonly endpoints: readonly string[]
  /** Lifeguard's local health, 0 (best) to 8: how much more time others get to answer. */
  readonly health: number
  readonly members: readonly MemberView[]
  readonly anchors: AnchorView
  /** How much was rejected since the start, by reason. */
  readonly rejections: Readonly<Record<string, number>>
}

function memberOf(peer: Peer): MemberView {
  return {
    nodeId: peer.id,
    state: peer.state,
    suspected: peer.suspicion !== null,
    anchor: isAnchor(peer),
    sequence: peer.record?.sequence ?? null,
    endpoints: peer.record?.endpoints ?? [],
    metadata: peer.record?.metadata ?? {},
    observed: peer.hints.map(({ endpoint, by }) => ({ endpoint, by })),
  }
}

export function meshView(mesh: Mesh): MeshView {
  const { self, peers, health, rejections } = mesh
  return {
    phase: self.phase,
    sequence: self.record?.sequence ?? 0,
    endpoints: self.record?.endpoints ?? [],
    health,
    members: [...peers.values()].map(memberOf),
    anchors: anchorsOf(mesh),
    rejections: Object.fromEntries(rejections),
  }
}
