/**
 * What the bench needs to know of a VPN: how to get it, and how to bring a tunnel up between two namespaces.
 * Invariant: all peers get the same underlay, the same inner addresses and the same inner MTU; everything else is
 * the product's own default.
 */
import type { LabProcess, Namespace } from '#src/cli/demo/lab.js'

/** The veth between the two ends, and the addresses inside the tunnel. */
export const UNDERLAY = { a: '10.200.0.1', b: '10.200.0.2', prefix: 24, mtu: 1500 } as const
export const INNER = { a: '10.201.0.1', b: '10.201.0.2', prefix: 24, mtu: 1420 } as const

export interface Pair {
  readonly a: Namespace
  readonly b: Namespace
  /** Private to this peer's turn, removed after it: keys, configurations, sockets. */
  readonly directory: string
}

export interface Tunnel {
  /** Root processes of the agents; empty when the kernel alone carries the traffic. */
  readonly agents: readonly LabProcess[]
  stop(): Promise<void>
  /** What the agent says of itself (offloads, AEAD in use), when it can be asked. */
  describe?(): Promise<unknown>
  /** For agents whose start-up is timed: ends A's agent while B's stays up, and starts it again. */
  readonly restart?: { stopA(): Promise<void>; startA(): void }
}

export interface Peer {
  /** Name on the command line and in the result file. */
  readonly name: string
  /** Makes the programs available and returns their version; throws `WhalescaleError` when they cannot be had. */
  install(): Promise<string>
  start(pair: Pair): Promise<Tunnel>
}
