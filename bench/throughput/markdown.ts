/**
 * The result as the README shows it: one table of medians, a line that says where they were taken, and what
 * has to be reached and was not. Pure.
 */
import { shortVersion } from './chart.js'
import { format, METRICS, type MetricName } from './metric.js'
import type { PeerResult, Result } from './result.js'
import type { Verdict } from './verdict.js'

/** Column heads as readers outside the bench understand them; units are in the head. */
const COLUMNS: readonly (readonly [metric: MetricName, head: string])[] = [
  ['tcpOne', 'one flow, Gbit/s'],
  ['tcpFour', 'four flows'],
  ['bothWays', 'both ways, each'],
  ['udp64', 'UDP 64 B, kpps'],
  ['udp1300', 'UDP 1300 B, kpps'],
  ['pingIdle', 'ping idle, ms'],
  ['pingLoaded', 'ping loaded, ms'],
  ['cpuPerGB', 'CPU, s/GB'],
  ['rss', 'RSS, MB'],
]

/** `json` is what a full run wrote. */
export function throughputMarkdown(json: string): string {
  const result = JSON.parse(json) as Result
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    row(['Peer', 'Version', ...COLUMNS.map(([, head]) => head)]),
    row(['---', '---', ...COLUMNS.map(() => '---:')]),
    ...result.peers.map((peer) => row(cells(peer))),
    '',
    footer(result),
    '',
    outcome(result.bars),
  ].join('\n')
}

function cells(peer: PeerResult): string[] {
  const version = shortVersion(peer.version ?? 'not available').replaceAll('|', '\\|')
  const figures = COLUMNS.map(([metric]) => {
    const median = peer.summary[metric]?.median
    return median === undefined ? '' : format(metric, median)
  })
  const own = peer.name.startsWith('whalescale')
  return [own ? `**${peer.name}**` : peer.name, version, ...figures]
}

function footer({ provenance: p, settings: s }: Result): string {
  const tree = p.modified ? ' with changes' : ''
  return (
    `Medians of ${String(s.rounds)} rounds, ${String(s.loadSeconds)} s per load, inner MTU ${String(s.innerMtu)}. ` +
    `${p.cpu}, ${String(p.cores)} cores, kernel ${p.kernel}, commit ${p.commit}${tree}, ${p.date.slice(0, 10)}.`
  )
}

/** Which bars were not reached. */
function outcome(bars: readonly Verdict[]): string {
  const others = bars.filter(({ outcome }) => outcome === 'miss' || outcome === 'unknown')
  const reached = bars.length - others.length
  const counted = `Of ${String(bars.length)} ratios and limits that this project sets itself, ${String(reached)} are reached.`
  return others.length === 0 ? counted : `${counted} Not yet:\n\n${others.map(miss).join('\n')}`
}

function miss({ subject, metric, against, bar, value, note }: Verdict): string {
  const { title, unit, better } = METRICS[metric]
  const what = `- ${title}, ${subject}`
  if (value === null) return `${what}: not measured, ${note}`
  const scale = against === 'absolute' ? ` ${unit}` : ` times ${note}`
  const limit = better === 'higher' ? 'at least' : 'at most'
  return `${what}: **${value.toFixed(2)}**${scale}, has to be ${limit} ${bar.toFixed(2)}`
}
