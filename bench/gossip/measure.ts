/** One network each: how fast updates reach all and what quiet nodes send, or who is held gone wrongly. */
import { roundMs } from '#src/gossip/spread.js'
import { Network } from './network.js'
import type { Node } from './model.js'

export interface SizeResult {
  readonly nodes: number
  /** Of so many updates, each of another node, the slowest counts. */
  readonly updates: number
  /** The fewest nodes that one of them reached, its source not counted. */
  readonly reached: number
  readonly rounds: number
  readonly milliseconds: number
  /** Median of the updates. */
  readonly medianRounds: number
  readonly meanBytesPerSecond: number
  readonly greatestBytesPerSecond: number
  /** Of virtual time, updates included. */
  readonly virtualSeconds: number
}

export interface LossResult {
  readonly nodes: number
  readonly loss: number
  readonly virtualSeconds: number
  readonly suspicions: number
  readonly falselyGone: number
}

/** Beyond the suspicions of those that were not up yet. */
const settleMs = 60_000
const quietMs = 30_000
const updates = 5
/** After this an update is held not to arrive. */
const patienceMs = 60_000

/** Of nodes that all know each other from their caches, as after a restart of everything. */
export function measureSize(nodes: number, seed: number): SizeResult {
  const net = new Network({ nodes, anchors: 3, seed, loss: 0, delayMs: [5, 50], knows: 'all' })
  net.start(1_000, true)
  net.run(settleMs)
  const sent = net.nodes.map(({ sentBytes }) => sentBytes)
  net.run(settleMs + quietMs)
  const seconds = quietMs / 1_000
  const rates = net.nodes.map(({ sentBytes }, i) => (sentBytes - (sent[i] ?? 0)) / seconds)
  const told = net.nodes.slice(-updates).map((source) => tell(net, source))
  const times = told.map(({ milliseconds }) => milliseconds).sort((one, other) => one - other)
  const milliseconds = times.at(-1) ?? 0
  return {
    nodes,
    updates: told.length,
    reached: Math.min(...told.map(({ reached }) => reached)),
    rounds: milliseconds / roundMs,
    milliseconds,
    medianRounds: (times[times.length >> 1] ?? 0) / roundMs,
    meanBytesPerSecond: rates.reduce((sum, rate) => sum + rate, 0) / nodes,
    greatestBytesPerSecond: Math.max(...rates),
    virtualSeconds: net.now / 1_000,
  }
}

/** Changes what `source` says of itself, and waits until all others hold it. */
function tell(net: Network, source: Node): { reached: number; milliseconds: number } {
  const reached = new Set<number>()
  const from = net.now
  net.watch = (node, effect) => {
    if (effect.type === 'storeRecord' && effect.nodeId === source.identity.nodeId) {
      reached.add(node.index)
    }
  }
  net.input(source, net.selfOf(source, { version: '2' }))
  const all = net.nodes.length - 1
  net.run(net.now + patienceMs, () => reached.size === all)
  return { reached: reached.size, milliseconds: net.now - from }
}

/** How many are held gone though all live. */
export function measureLoss(nodes: number, virtualSeconds: number, seed: number): LossResult {
  const loss = 0.1
  const net = new Network({ nodes, anchors: 3, seed, loss, delayMs: [5, 50], knows: 'all' })
  let suspicions = 0
  let falselyGone = 0
  net.watch = (_, effect) => {
    if (effect.type !== 'member') return
    if (effect.suspected) suspicions += 1
    if (effect.state === 'gone') falselyGone += 1
  }
  net.start(1_000)
  net.run(virtualSeconds * 1_000)
  return { nodes, loss, virtualSeconds, suspicions, falselyGone }
}
