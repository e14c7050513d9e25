/** The result of the gossip bench as a table, remarks and charts. Pure. */
import { roundMs } from '#src/gossip/spread.js'
import { card, MARGIN, round, text } from '../svg.js'
import { others, roundsOf } from './epidemic.js'
import type { LossResult, SizeResult } from './measure.js'
import type { Cost } from './worker.js'

export function table(results: readonly SizeResult[], seed: number): string {
  const names = ['Whalescale (simulated)', ...others.map(({ name }) => name)]
  const lines = [
    `| Nodes | ${names.map((name) => `${name}: rounds (s), B/s`).join(' | ')} |`,
    `|---${names.map(() => '|---').join('')}|`,
  ]
  for (const { nodes, updates, reached, milliseconds, meanBytesPerSecond } of results) {
    const slowest = reached === nodes - 1 ? milliseconds : null
    const own = cell(slowest, roundMs, meanBytesPerSecond)
    const rest = others.map((other) => {
      const each = Array.from({ length: updates }, (_, run) => roundsOf(other, nodes, seed + run))
      const rounds = each.includes(null) ? null : Math.max(...each.map(Number))
      const bytes = other.quietBytesPerSecond(nodes)
      return cell(rounds === null ? null : rounds * other.roundMs, other.roundMs, bytes)
    })
    lines.push(`| ${nodes} | ${[own, ...rest].join(' | ')} |`)
  }
  return `${lines.join('\n')}\n`
}

/** `milliseconds` is null where an update did not reach all. */
function cell(milliseconds: number | null, ofRound: number, bytesPerSecond: number): string {
  const reach =
    milliseconds === null
      ? 'not all reached'
      : `${round(milliseconds / ofRound)} (${round(milliseconds / 1_000)})`
  return `${reach}, ${Math.round(bytesPerSecond)}`
}

export function remarks(
  results: readonly (SizeResult & { readonly cost: Cost })[],
  hour: LossResult,
  bytesPerPeer: number,
): string {
  const list = (of: (result: SizeResult & { readonly cost: Cost }) => string): string =>
    results.map(of).join(', ')
  return [
    `Rounds: the slowest of ${results[0]?.updates ?? 0} updates, each told by another node; medians here: ` +
      `${list(({ nodes, medianRounds }) => `${round(medianRounds)} of ${nodes}`)} nodes.`,
    'Whalescale: the shipped state machines and bytes on virtual time, 5 to 50 ms of delay one way, a round of ' +
      '250 ms; bytes with handshakes, encryption and signatures. The others are computed, not run: an epidemic ' +
      'with their published defaults in rounds without delay, bytes by formula (bench/gossip/epidemic.ts), ' +
      'memberlist without encryption.',
    `Sent by the busiest quiet node, B/s: ${list(
      ({ nodes, greatestBytesPerSecond }) => `${Math.round(greatestBytesPerSecond)} of ${nodes}`,
    )} nodes.`,
    `${hour.nodes} nodes, ${hour.loss * 100} % of datagrams lost, ${hour.virtualSeconds} s: ` +
      `${hour.falselyGone} falsely Gone (${hour.suspicions} suspicions ended by an answer).`,
    `Memory of a known peer: ${bytesPerPeer} bytes, in a machine that shares nothing with another. Simulated ` +
      'nodes share decoded records and lists of endpoints, which never change; nothing else.',
    `What it took: ${list(
      ({ nodes, virtualSeconds, cost }) =>
        `${nodes} nodes ${Math.round(virtualSeconds)} s in ${cost.cpuSeconds} s of CPU and ${cost.peakMB} MB`,
    )}.`,
    '',
  ].join('\n\n')
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

export function convergenceChart(results: readonly SizeResult[]): string {
  const title = 'Gossip rounds until an update reaches all, by nodes'
  return chart(title, 'rounds', results, ({ rounds }) => rounds)
}

export function bandwidthChart(results: readonly SizeResult[]): string {
  const title = 'Sent by a quiet node, by nodes'
  return chart(title, 'B/s', results, ({ meanBytesPerSecond }) => meanBytesPerSecond)
}
