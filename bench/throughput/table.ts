/**
 * The result as text: figures, ratios, bars, and what failed. Pure.
 */
import { align } from '../align.js'
import { format, METRICS, METRIC_NAMES, type MetricName } from './metric.js'
import type { PeerResult, Result } from './result.js'
import type { Verdict } from './verdict.js'

const RATIOS_TO = ['wireguard-go', 'tailscale-fork'] as const
const NO_FIGURE = '-'

export function renderTables(result: Result): string {
  const sections = [
    heading(result),
    `Medians\n${figures(result.peers, (peer, metric) => show(metric, peer.summary[metric]?.median))}`,
    `Ranges\n${figures(result.peers, range)}`,
    ...RATIOS_TO.filter((name) => hasFigures(result.peers, name)).map((name) =>
      ratioTable(result.peers, name),
    ),
    `Bars\n${bars(result.bars)}`,
    ...notes(result.peers),
  ]
  return `${sections.join('\n\n')}\n`
}

function heading({ provenance: p, settings: s }: Result): string {
  return [
    `${p.cpu}, ${String(p.cores)} cores, kernel ${p.kernel}, load before ${p.loadBefore.toFixed(2)}`,
    `commit ${p.commit}${p.modified ? ' (modified)' : ''}, ${p.date}, ${p.iperf3}`,
    `inner MTU ${String(s.innerMtu)}, ${String(s.rounds)} rounds, ${String(s.loadSeconds)} s per load`,
  ].join('\n')
}

function figures(
  peers: readonly PeerResult[],
  cell: (peer: PeerResult, metric: MetricName) => string,
): string {
  const shown = METRIC_NAMES.filter((metric) =>
    peers.some((peer) => peer.summary[metric] !== undefined),
  )
  return align([
    ['', ...shown.map((metric) => METRICS[metric].short)],
    ['', ...shown.map((metric) => METRICS[metric].unit)],
    ...peers.map((peer) => [peer.name, ...shown.map((metric) => cell(peer, metric))]),
  ])
}

function range(peer: PeerResult, metric: MetricName): string {
  const summary = peer.summary[metric]
  return summary === undefined
    ? NO_FIGURE
    : `${format(metric, summary.min)}-${format(metric, summary.max)}`
}

function ratioTable(peers: readonly PeerResult[], yardstick: string): string {
  const base = peers.find((peer) => peer.name === yardstick)
  const table = figures(peers, (peer, metric) => {
    const own = peer.summary[metric]?.median
    const theirs = base?.summary[metric]?.median
    return own === undefined || theirs === undefined ? NO_FIGURE : `${(own / theirs).toFixed(2)}x`
  })
  return `Ratio to ${yardstick}\n${table}`
}

function hasFigures(peers: readonly PeerResult[], name: string): boolean {
  return peers.some((peer) => peer.name === name && Object.keys(peer.summary).length > 0)
}

const MARKS: Readonly<Record<Verdict['outcome'], string>> = {
  goal: 'GOAL',
  pass: 'pass',
  miss: 'MISS',
  unknown: '?',
}

function bars(verdicts: readonly Verdict[]): string {
  return align(
    [
      ['', 'figure', 'of', 'against', 'is', 'bar', 'goal', 'note'],
      ...verdicts.map((verdict) => [
        MARKS[verdict.outcome],
        METRICS[verdict.metric].title,
        verdict.subject,
        verdict.against,
        verdict.value === null ? NO_FIGURE : limit(verdict, verdict.value),
        `${METRICS[verdict.metric].better === 'higher' ? '>=' : '<='} ${limit(verdict, verdict.bar)}`,
        verdict.goal === undefined ? '' : limit(verdict, verdict.goal),
        verdict.note,
      ]),
    ],
    'left',
  )
}

function limit(verdict: Verdict, value: number): string {
  return verdict.against === 'absolute'
    ? `${format(verdict.metric, value)} ${METRICS[verdict.metric].unit}`
    : `${value.toFixed(2)}x`
}

function notes(peers: readonly PeerResult[]): string[] {
  const versions = peers
    .filter((peer) => peer.version !== null)
    .map((peer) => `${peer.name} ${peer.version ?? ''}`)
  const missing = peers
    .filter((peer) => peer.unavailable !== null)
    .map((peer) => `${peer.name}: ${peer.unavailable ?? ''}`)
  const failed = peers.flatMap((peer) =>
    peer.failures.map(
      ({ round, load, reason }) => `${peer.name}, round ${String(round + 1)}, ${load}: ${reason}`,
    ),
  )
  return [
    ...(versions.length > 0 ? [`Versions\n${versions.join('\n')}`] : []),
    ...(missing.length > 0 ? [`Not measured\n${missing.join('\n')}`] : []),
    ...(failed.length > 0 ? [`Failed\n${failed.join('\n')}`] : []),
  ]
}

function show(metric: MetricName, value: number | undefined): string {
  return value === undefined ? NO_FIGURE : format(metric, value)
}
