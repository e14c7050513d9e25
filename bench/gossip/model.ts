/** What the simulated network is made of: nodes, sessions, events, and what each datagram costs. */
import type { Input, Mesh } from '#src/node/mesh.js'
import type { Identity } from './identity.js'

export interface NetworkOptions {
  readonly nodes: number
  readonly anchors: number
  readonly seed: number
  /** Share of datagrams lost, each by itself. */
  readonly loss: number
  /** One way, uniform between the two. */
  readonly delayMs: readonly [number, number]
  /** Which endpoints the configuration gives: of anchors alone, or of all. */
  readonly knows: 'anchors' | 'all'
}

export interface Node {
  readonly index: number
  readonly identity: Identity
  mesh: Mesh
  endpoint: string
  alive: boolean
  /** Bytes on the wire, with the headers of IPv6, UDP and the transport. */
  sentBytes: number
  /** Of these, what sessions cost beside the messages. */
  sessionBytes: number
  wakeAt: number
}

interface Try {
  readonly from: Node
  readonly count: number
  readonly at: number
}

export interface Session {
  readonly ends: readonly [Node, Node]
  up: boolean
  /** The handshake under way. */
  attempt: Try | null
  usedAt: number
  waiting: { readonly from: Node; readonly kind: number; readonly body: Uint8Array }[]
}

export type Event =
  | { readonly type: 'boot' | 'wake'; readonly node: Node }
  | { readonly type: 'input'; readonly node: Node; readonly input: Input }
  | { readonly type: 'retry'; readonly session: Session; readonly try: Try }
  | { readonly type: 'open'; readonly session: Session; readonly from: Node }
  | { readonly type: 'idle'; readonly session: Session }

/** IPv6 40, UDP 8, transport header and tag 32. */
export const datagramBytes = 80
/** Messages 1 and 2 of the handshake, and HELLO with its answer each way (46 bytes padded to 48). */
export const openBytes = { initiator: 148 + 48 + 2 * (48 + 80), responder: 92 + 48 + 2 * (48 + 80) }
/** WG 6.1: REKEY_TIMEOUT, and the age at which an unused session is gone. */
export const retryMs = 5_000
export const idleMs = 180_000
/** The addon begins no handshake with the same peer sooner because it is asked to. */
export const connectSpacingMs = 500
/** Handshakes of the product go on for 90 s. */
export const mostTries = 18
export const mostWaiting = 16
