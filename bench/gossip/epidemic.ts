/**
 * What other gossip would need, computed from published parameters, not measured: an epidemic in rounds.
 */
import { Random } from '#src/peers/random.js'

export interface Epidemic {
  readonly name: string
  readonly roundMs: number
  readonly fanOut: number
  /** How often each node tells an update; Infinity for ever. */
  tellings(nodes: number): number
  /** Share of its messages that carry this update. */
  share(nodes: number): number
  /** Sent by a quiet node, with headers of IPv6 and UDP. */
  quietBytesPerSecond(nodes: number): number
}

/** One probe and one answer a second each way, 100 bytes; the whole state to one other every 30 s. */
const memberlist: Epidemic = {
  name: 'memberlist, LAN defaults (computed)',
  roundMs: 200,
  fanOut: 3,
  tellings: (nodes) => 4 * Math.ceil(Math.log10(nodes + 1)),
  share: () => 1,
  quietBytesPerSecond: (nodes) => 2 * 100 + (2 * nodes * 150) / 30,
}

/** One record in a packet of 250 bytes to each of 3 peers, every 5 s; the record is chosen at random. */
const whisper: Epidemic = {
  name: 'whisper (computed)',
  roundMs: 5_000,
  fanOut: 3,
  tellings: () => Infinity,
  share: (nodes) => 1 / nodes,
  quietBytesPerSecond: () => (3 * 250) / 5 + 100 / 10,
}

export const others: readonly Epidemic[] = [memberlist, whisper]

/** Rounds until all know, without loss; gives up after `most`. */
export function roundsOf(
  epidemic: Epidemic,
  nodes: number,
  seed: number,
  most = 20_000,
): number | null {
  const random = new Random(seed)
  const told = new Float64Array(nodes).fill(-1)
  told[0] = 0
  const limit = epidemic.tellings(nodes)
  const share = epidemic.share(nodes)
  let knowing = 1
  for (let round = 1; round <= most; round += 1) {
    const before = told.slice()
    for (let node = 0; node < nodes; node += 1) {
      if ((before[node] ?? -1) < 0) continue
      for (let i = 0; i < epidemic.fanOut && (told[node] ?? 0) < limit; i += 1) {
        told[node] = (told[node] ?? 0) + 1
        const target = random.below(nodes)
        if (random.fraction() >= share || (told[target] ?? 0) >= 0) continue
        told[target] = 0
        knowing += 1
      }
    }
    if (knowing === nodes) return round
  }
  return null
}
