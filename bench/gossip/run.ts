/**
 * `npm run bench -- gossip`: the shipped machines and codec in networks of growing size on virtual time.
 * How fast an update reaches all, what a quiet node sends, and what a known peer costs in memory.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { roundMs } from '#src/gossip/spread.js'
import { projectRoot } from '#src/cli/demo/project.js'
import { provenance } from '../machine.js'
import { card, MARGIN, round, text } from '../svg.js'
import { others, roundsOf } from './epidemic.js'
import { bytesPerKnownPeer } from './memory.js'
import { Network } from './network.js'

interface SizeResult {
  readonly nodes: number
  readonly reached: number
  readonly rounds: number
  readonly milliseconds: number
  readonly meanBytesPerSecond: number
  readonly greatestBytesPerSecond: number
}

interface LossResult {
  readonly nodes: number
  readonly loss: number
  readonly virtualSeconds: number
  readonly suspicions: number
  readonly falselyGone: number
}

const sizes = [10, 30, 100, 300, 1_000, 5_000]
const quickSizes = [10, 30, 100]
/** Beyond the suspicions of those that were not up yet. */
const settleMs = 60_000
const quietMs = 30_000

function measure(nodes: number, seed: number): SizeResult {
  const net = new Network({ nodes, anchors: 3, seed, loss: 0, delayMs: [5, 50], knows: 'all' })
  net.start(1_000, true)
  net.run(settleMs)
  const sent = net.nodes.map(({ sentBytes }) => sentBytes)
  net.run(settleMs + quietMs)
  const rates = net.nodes.map(
    ({ sentBytes }, i) => (sentBytes - (sent[i] ?? 0)) / (quietMs / 1_000),
  )
  const [source] = net.nodes.slice(-1)
  if (source === undefined) throw new RangeError('a network without nodes')
  const reached = new Set<number>()
  let lastAt = net.now
  const from = net.now
  net.watch = (node, effect) => {
    if (effect.type !== 'storeRecord' || effect.nodeId !== source.identity.nodeId) return
    reached.add(node.index)
    lastAt = net.now
  }
  net.input(source, net.selfOf(source, { version: '2' }))
  net.run(net.now + 60_000, () => reached.size === nodes - 1)
  return {
    nodes,
    reached: reached.size,
    rounds: (lastAt - from) / roundMs,
    milliseconds: lastAt - from,
    meanBytesPerSecond: rates.reduce((sum, rate) => sum + rate, 0) / nodes,
    greatestBytesPerSecond: Math.max(...rates),
  }
}

/** How many are held gone though all live. */
function lossy(nodes: number, virtualSeconds: number, seed: number): LossResult {
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

function table(results: readonly SizeResult[], seed: number): string {
  const columns = ['Whalescale', ...others.map(({ name }) => name)]
  const lines = [
    `| Nodes | ${columns.map((name) => `${name}: rounds (s), B/s`).join(' | ')} |`,
    `|---${columns.map(() => '|---').join('')}|`,
  ]
  for (const result of results) {
    const own = `${round(result.rounds)} (${round(result.milliseconds / 1_000)}), ${Math.round(result.meanBytesPerSecond)}`
    const rest = others.map((other) => {
      const rounds = roundsOf(other, result.nodes, seed)
      const seconds = rounds === null ? '-' : round((rounds * other.roundMs) / 1_000)
      return `${rounds ?? 'not reached'} (${seconds}), ${Math.round(other.quietBytesPerSecond(result.nodes))}`
    })
    lines.push(`| ${result.nodes} | ${[own, ...rest].join(' | ')} |`)
  }
  return `${lines.join('\n')}\n`
}

function remarks(results: readonly SizeResult[], hour: LossResult, bytesPerPeer: number): string {
  const busiest = results.map(
    ({ nodes, greatestBytesPerSecond }) => `${Math.round(greatestBytesPerSecond)} of ${nodes}`,
  )
  return [
    `Sent by the busiest quiet node, B/s: ${busiest.join(', ')} nodes.`,
    `${hour.nodes} nodes, ${hour.loss * 100} % of datagrams lost, ${hour.virtualSeconds} s: ` +
      `${hour.falselyGone} falsely Gone (${hour.suspicions} suspicions ended by an answer).`,
    `Memory of a known peer: ${bytesPerPeer} bytes.`,
    '',
  ].join('\n')
}

/** Bars of one figure by size of the network, on a scale from zero. */
function chart(
  title: string,
  unit: string,
  results: readonly SizeResult[],
  of: (result: SizeResult) => number,
): string {
  const most = Math.max(...results.map(of))
  const rows = results.flatMap((result, i) => {
    const y = 64 + i * 24
    const width = round((of(result) / most) * 440)
    return [
      text(MARGIN + 70, y + 12, String(result.nodes), 'soft', 'end'),
      `<rect class="bar-own" x="${MARGIN + 78}" y="${y}" width="${width}" height="15"/>`,
      text(MARGIN + 86 + width, y + 12, `${round(of(result))} ${unit}`, 'own'),
    ]
  })
  return card(title, 720, 90 + results.length * 24, rows)
}

export async function gossipBench(
  quick: boolean,
  print: (line: string) => void,
  progress: (line: string) => void,
): Promise<void> {
  const seed = 20_261_121
  const machine = await provenance()
  progress('memory, while there is no other')
  const bytesPerPeer = Math.round(bytesPerKnownPeer(1_000))
  const results: SizeResult[] = []
  const skipped: { nodes: number; reason: string }[] = []
  for (const nodes of quick ? quickSizes : sizes) {
    // About 1 KB for each pair of nodes: beyond this a process has no room.
    if (nodes > 2_000) {
      skipped.push({
        nodes,
        reason: `needs about ${Math.round((nodes * nodes) / 1e6)} GB of memory`,
      })
      continue
    }
    progress(`${nodes} nodes`)
    results.push(measure(nodes, seed))
  }
  progress('a lossy network')
  const hour = quick ? lossy(40, 300, seed) : lossy(200, 3_600, seed)
  const markdown = `${table(results, seed)}\n${remarks(results, hour, bytesPerPeer)}`
  print(markdown)
  for (const { nodes, reason } of skipped) print(`${nodes} nodes left out: ${reason}`)
  const directory = join(projectRoot(), 'bench/results')
  await mkdir(directory, { recursive: true })
  const result = { machine, seed, roundMs, results, hour, bytesPerPeer, skipped }
  const label = quick ? 'gossip-quick' : 'gossip'
  const files = [
    [`${label}.json`, `${JSON.stringify(result, null, 2)}\n`],
    [`${label}.md`, markdown],
    [
      `${label}-convergence.svg`,
      chart(
        'Gossip rounds until an update reaches all, by nodes',
        'rounds',
        results,
        ({ rounds }) => rounds,
      ),
    ],
    [
      `${label}-bandwidth.svg`,
      chart(
        'Sent by a quiet node, by nodes',
        'B/s',
        results,
        ({ meanBytesPerSecond }) => meanBytesPerSecond,
      ),
    ],
  ] as const
  for (const [name, content] of files) {
    await writeFile(join(directory, name), content)
    print(`wrote bench/results/${name}`)
  }
}
