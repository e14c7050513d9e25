/**
 * The mesh machine: gossip, membership, anchors and recovery of one node. It does no input or output,
 * keeps no timer and reads no clock: `step` takes what happened and when, and gives what to do.
 *
 * Invariants: the state belongs to the caller and to nothing else, and `step` changes it in place;
 * time never goes back; every table is bounded by the number of configured peers or by a constant.
 */
import type { Effect, Input, MemberState, Phase, Warning } from '../peers/exchange.js'

export type { Effect, Input }

export type MeshOptions = {
  readonly nodeId: string
  /** Of the machine's own generator; any 32-bit number, another one at each start. */
  readonly seed: number
  /** Ed25519 over `length || domain || body` (docs/PROTOCOL.md, section 1.4). */
  readonly verify: Verify
}

export type Verify = (
  nodeId: string,
  domain: string,
  body: Uint8Array,
  signature: Uint8Array,
) => boolean

/** One peer, for people and programs. */
export type MemberView = {
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
  readonly sequence: number
  /** What this node tells of itself. */
  readonly endpoints: readonly string[]
  readonly members: readonly MemberView[]
  readonly anchors: {
    readonly live: readonly string[]
    /** Two on different networks, or what there is. */
    readonly recommended: readonly string[]
  }
  /** Those that hold now. */
  readonly warnings: readonly Warning[]
  /** How much was rejected since the start, by reason. */
  readonly rejections: Readonly<Record<string, number>>
}

export type Mesh = { readonly options: MeshOptions }

export function createMesh(options: MeshOptions): Mesh {
  return { options }
}

/** Changes `mesh` in place; the effects are to be carried out in order. */
export function step(mesh: Mesh, input: Input, now: number): Effect[] {
  void mesh
  void input
  void now
  return []
}

/** When to step with `tick` if nothing else happens before; Infinity for never. */
export function nextWakeup(mesh: Mesh): number {
  void mesh
  return Infinity
}

export function meshView(mesh: Mesh): MeshView {
  void mesh
  return {
    phase: 'joining',
    sequence: 0,
    endpoints: [],
    members: [],
    anchors: { live: [], recommended: [] },
    warnings: [],
    rejections: {},
  }
}
