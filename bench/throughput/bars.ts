/**
 * What Whalescale has to reach, and whether it did. Bars are ratios to peers of the same run, or absolute.
 * Invariant: a bar whose figures are missing is `unknown`, with the reason; it never counts as reached.
 */
import { METRICS, type MetricName } from './metric.js'
import type { PeerResult } from './result.js'
import type { Bar, Verdict } from './verdict.js'

const DEFAULT = 'whalescale'
const RING = 'whalescale-ring'

function ratios(
  subject: string,
  metric: MetricName,
  wireguardGo: [number, number?],
  fork: [number, number?],
): Bar[] {
  return (
    [
      ['wireguard-go', wireguardGo],
      ['tailscale-fork', fork],
    ] as const
  ).map(([against, [bar, goal]]) => ({
    subject,
    metric,
    against,
    bar,
    ...(goal !== undefined && { goal }),
  }))
}

function udpBars(metric: MetricName): Bar[] {
  return [
    { subject: DEFAULT, metric, against: 'wireguard-go', bar: 1.5 },
    { subject: DEFAULT, metric, against: 'best peer', bar: 1.2 },
  ]
}

const BARS: readonly Bar[] = [
  ...ratios(DEFAULT, 'tcpOne', [1.8, 2.4], [1.3, 1.7]),
  ...ratios(RING, 'tcpOne', [1.5, 1.9], [1.1, 1.4]),
  ...ratios(DEFAULT, 'tcpFour', [1.8], [1.2]),
  ...ratios(DEFAULT, 'bothWays', [1.6, 2], [1.2, 1.5]),
  ...ratios(DEFAULT, 'cpuPerGB', [0.5, 0.4], [0.7, 0.55]),
  ...udpBars('udp64'),
  ...udpBars('udp1300'),
  { subject: DEFAULT, metric: 'pingIdle', against: 'best peer', bar: 1 },
  { subject: DEFAULT, metric: 'pingLoaded', against: 'best peer', bar: 1 },
  { subject: DEFAULT, metric: 'startUp', against: 'absolute', bar: 300 },
  { subject: DEFAULT, metric: 'rss', against: 'absolute', bar: 120 },
  { subject: DEFAULT, metric: 'idleCpu', against: 'absolute', bar: 0.5 },
]

/** Not peers: the ceiling, and ourselves. */
const NO_YARDSTICK = new Set(['raw-veth', DEFAULT, RING])

export function judge(peers: readonly PeerResult[]): Verdict[] {
  return BARS.map((bar) => judgeOne(bar, peers))
}

function judgeOne(bar: Bar, peers: readonly PeerResult[]): Verdict {
  const own = median(peers, bar.subject, bar.metric)
  if (own === undefined) return unknown(bar, `${bar.subject} has no figure`)
  if (bar.against === 'absolute') return decided(bar, own, '')
  const yardstick = bar.against === 'best peer' ? bestPeer(peers, bar.metric) : bar.against
  const theirs = yardstick === undefined ? undefined : median(peers, yardstick, bar.metric)
  if (yardstick === undefined || theirs === undefined)
    return unknown(bar, `${yardstick ?? 'no peer'} has no figure`)
  return decided(bar, own / theirs, yardstick)
}

function decided(bar: Bar, value: number, note: string): Verdict {
  const reaches = (limit: number): boolean =>
    METRICS[bar.metric].better === 'higher' ? value >= limit : value <= limit
  const passed = reaches(bar.bar)
  const outcome =
    passed && bar.goal !== undefined && reaches(bar.goal) ? 'goal' : passed ? 'pass' : 'miss'
  return { ...bar, outcome, value, note }
}

function unknown(bar: Bar, note: string): Verdict {
  return { ...bar, outcome: 'unknown', value: null, note }
}

function bestPeer(peers: readonly PeerResult[], metric: MetricName): string | undefined {
  const sign = METRICS[metric].better === 'higher' ? -1 : 1
  return peers
    .filter((peer) => !NO_YARDSTICK.has(peer.name) && peer.summary[metric] !== undefined)
    .map((peer) => ({ name: peer.name, key: sign * (peer.summary[metric]?.median ?? 0) }))
    .sort((a, b) => a.key - b.key)[0]?.name
}

function median(
  peers: readonly PeerResult[],
  name: string,
  metric: MetricName,
): number | undefined {
  return peers.find((peer) => peer.name === name)?.summary[metric]?.median
}
