/**
 * What the agent tells as it happens, as values: the event stream of the local API and the events of
 * the programmatic interface. Listeners are called in order and must not throw.
 */
import type { CandidateView, MembershipState } from './views.js'
import type { PeerState } from '../native.js'

export type NodeEvent =
  /** A session with a peer began, ended, or moved to another address. */
  | {
      readonly type: 'peer'
      readonly peer: string
      readonly nodeId: string | null
      readonly state: PeerState
      readonly endpoint: string | null
    }
  /** A peer's place in the mesh changed. */
  | {
      readonly type: 'member'
      readonly peer: string
      readonly nodeId: string
      readonly state: MembershipState
      readonly suspected: boolean
    }
  /** Where a peer is tried, best first. */
  | {
      readonly type: 'endpoints'
      readonly peer: string
      readonly nodeId: string
      readonly endpoints: readonly CandidateView[]
    }
  /** This node's own place in the mesh changed. */
  | { readonly type: 'phase'; readonly phase: MembershipState }
  | { readonly type: 'mtu'; readonly innerMtu: number }
  | { readonly type: 'warning'; readonly code: string; readonly message: string }
  | { readonly type: 'reloaded'; readonly removed: number; readonly changed: number }

export type Listener = (event: NodeEvent) => void

export class Events {
  readonly #listeners = new Set<Listener>()

  emit(event: NodeEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  /** @returns what ends the listening */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }
}
