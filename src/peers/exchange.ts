/**
 * What goes into the mesh machine and what comes out of it, as values. A node is named by its node id,
 * an endpoint by `ip:port` or `[ip]:port`; times are milliseconds of a clock that only grows.
 */

import type { Phase } from '../wire/record.js'

/** Where a configured peer stands; `unknown` until it, or its record by way of others, was heard. */
export type MemberState = 'unknown' | Phase | 'gone'

/** A message, by its frame type (docs/PROTOCOL.md, section 7). */
type Message = {
  readonly kind: number
  /** At most 1120 bytes. */
  readonly body: Uint8Array
}

/** A peer of the configuration that is known by its node id. */
export type ConfiguredPeer = {
  readonly nodeId: string
  readonly anchor: boolean
  /** Literal addresses; names are resolved by the caller, which then tells all peers anew. */
  readonly endpoints: readonly string[]
}

export type CachedPeer = {
  readonly nodeId: string
  /** Where the peer was last reached, best first. */
  readonly endpoints: readonly string[]
}

export type Input =
  /** Comes first, once. */
  | {
      readonly type: 'start'
      /** The greatest sequence number that `storeSequence` ever gave, 0 for none. */
      readonly sequence: number
      /** What `storeRecord` gave, in any order; each is checked again. */
      readonly records: readonly Uint8Array[]
      readonly cached: readonly CachedPeer[]
    }
  /** All peers that take part; replaces those before. */
  | { readonly type: 'peers'; readonly peers: readonly ConfiguredPeer[] }
  | ({ readonly type: 'message'; readonly from: string } & Message)
  /**
   * What became of the session with a peer: `up` also when its confirmed endpoint changes, `idle` when
   * it ended for want of traffic, `lost` when the peer no longer answers.
   */
  | {
      readonly type: 'session'
      readonly peer: string
      readonly state: 'up' | 'idle' | 'lost'
      readonly endpoint: string | null
    }
  /** What this node says of itself; endpoints are where it listens, best first. */
  | {
      readonly type: 'self'
      readonly endpoints: readonly string[]
      readonly anchor: boolean
      readonly metadata: Readonly<Record<string, string>>
    }
  | { readonly type: 'signed'; readonly token: number; readonly signature: Uint8Array }
  /** A peer tells where our packets come from. */
  | { readonly type: 'observed'; readonly by: string; readonly endpoint: string }
  /** Interfaces, addresses or routes of this machine have changed. */
  | { readonly type: 'network' }
  /** Whether `target` answers, asked by this node or, with `via`, by that peer on its behalf. */
  | {
      readonly type: 'check'
      readonly token: number
      readonly target: string
      readonly via: string | null
    }
  | { readonly type: 'leave' }
  | { readonly type: 'tick' }

/** How an endpoint of a peer came to be known, in the order of trust. */
export type Source = 'self-attested' | 'observed' | 'cached' | 'configured'

export type Candidate = { readonly endpoint: string; readonly source: Source }

export type CheckOutcome =
  | { readonly reachable: true; readonly roundTripMs: number }
  | { readonly reachable: false; readonly reason: 'no answer' | 'no answer from via' | 'unknown' }

/** Why something that was received was not used. */
export type Rejection =
  | 'malformed'
  | 'oversized'
  | 'kind'
  | 'sender'
  | 'rate'
  | 'subject'
  | 'signature'
  | 'stale'
  | 'contradiction'
  | 'address'
  | 'token'

export type Warning = {
  readonly code: 'NoAnchor' | 'OneAnchor' | 'OnlyAnchor' | 'AnchorsShareNetwork' | 'SelfRolledBack'
  readonly message: string
}

/** To be carried out in order. */
export type Effect =
  | ({ readonly type: 'send'; readonly to: string } & Message)
  /** Answered by `signed`. */
  | {
      readonly type: 'sign'
      readonly token: number
      readonly domain: string
      readonly body: Uint8Array
    }
  /** Must be on disk before the next effect: a restart begins above it. */
  | { readonly type: 'storeSequence'; readonly sequence: number }
  /** The newest record of a peer, signed by it. */
  | { readonly type: 'storeRecord'; readonly nodeId: string; readonly record: Uint8Array }
  /** Where to try a peer, best first, at most 8; replaces those before. */
  | {
      readonly type: 'endpoints'
      readonly peer: string
      readonly candidates: readonly Candidate[]
    }
  /** Begin a handshake now. */
  | { readonly type: 'connect'; readonly peer: string }
  | {
      readonly type: 'member'
      readonly peer: string
      readonly state: MemberState
      readonly suspected: boolean
    }
  /** This node's own phase; `joined` is when it is ready, `left` when it may stop. */
  | { readonly type: 'self'; readonly phase: Phase }
  | { readonly type: 'checked'; readonly token: number; readonly outcome: CheckOutcome }
  /** The state of the network that the user should hear of; told when it begins. */
  | ({ readonly type: 'warn' } & Warning)
  | { readonly type: 'rejected'; readonly reason: Rejection; readonly from: string }
