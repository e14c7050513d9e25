/**
 * What other gossip would need, computed and not measured: an epidemic in rounds by their published
 * parameters, without loss and without delay, and the bytes of a quiet node by formula. Sizes of messages are
 * those of their own encoding; 48 bytes of IPv6 and UDP headers are added to each datagram.
 */
import { Random } from '#src/peers/random.js'

export interface Epidemic {
  readonly name: string
  readonly roundMs: number
  readonly fanOut: number
  /** How often each node tells an update; Infinity for ever. */
  tellings(nodes: number): number
  /** Sent by a quiet node. */
  quietBytesPerSecond(nodes: number): number
}

const headers = 48

/**
 * hashicorp/memberlist, DefaultLANConfig of 0.7.0: GossipInterval 200 ms, GossipNodes 3, RetransmitMult 4,
 * ProbeInterval 1 s, PushPullInterval 30 s, which beyond 32 nodes grows by one for each doubling begun. Sizes
 * as 30 quiet nodes with host names sent them on loopback: a probe 97 bytes, its answer 18, and 33 for each
 * node of a compressed state, which both sides of a synchronisation send (headers of TCP left out).
 */
const memberlist: Epidemic = {
  name: 'memberlist 0.7.0, LAN defaults (computed)',
  roundMs: 200,
  fanOut: 3,
  tellings: (nodes) => 4 * Math.ceil(Math.log10(nodes + 1)),
  quietBytesPerSecond: (nodes) => {
    const spans = nodes <= 32 ? 1 : Math.ceil(Math.log2(nodes / 32)) + 1
    return 97 + 18 + 2 * headers + (2 * nodes * 33) / (30 * spans)
  },
}

/**
 * davidsbond/whisper, its defaults: every 5 s all that a node knows, one datagram for each peer, to 3 others.
 * A record without metadata is 67 bytes, sealed and framed 102. The checks over TCP each 10 s are left out.
 */
const whisper: Epidemic = {
  name: 'whisper (computed)',
  roundMs: 5_000,
  fanOut: 3,
  tellings: () => Infinity,
  quietBytesPerSecond: (nodes) => (Math.min(3, nodes - 1) * (nodes - 1) * (102 + headers)) / 5,
}

export const others: readonly Epidemic[] = [memberlist, whisper]

/** Rounds until all know; null where the epidemic ends before. */
export function roundsOf(epidemic: Epidemic, nodes: number, seed: number): number | null {
  const random = new Random(seed)
  const everybody = Array.from({ length: nodes }, (_, index) => index)
  /** How often each that knows has told. */
  const told = new Map([[0, 0]])
  const limit = epidemic.tellings(nodes)
  for (let round = 1; ; round += 1) {
    const telling = [...told].filter(([, times]) => times < limit)
    if (telling.length === 0) return null
    for (const [node, times] of telling) {
      const targets = random
        .sample(everybody, epidemic.fanOut + 1)
        .filter((other) => other !== node)
      const chosen = targets.slice(0, Math.min(epidemic.fanOut, limit - times))
      told.set(node, times + chosen.length)
      for (const target of chosen) if (!told.has(target)) told.set(target, 0)
    }
    if (told.size === nodes) return round
  }
}
