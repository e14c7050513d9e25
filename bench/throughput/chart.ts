/**
 * Horizontal bar charts as SVG, one panel per figure. Pure.
 * Invariants: every panel starts at zero; a whisker spans the rounds' minimum and maximum; a peer without a figure
 * keeps its row and says so.
 */
import { card, MARGIN, round, text } from '../svg.js'
import { format, METRICS, type MetricName } from './metric.js'
import type { PeerResult, Result } from './result.js'
import type { Summary } from '../statistics.js'

const PANEL = { width: 470, label: 112, value: 58, row: 23, bar: 13, head: 44, gap: 26 } as const
const TITLE_HEIGHT = 44
const FOOTER_LINE = 15

const BAR_CLASS: Readonly<Record<string, string>> = {
  whalescale: 'bar-own',
  'whalescale-ring': 'bar-ring',
  'raw-veth': 'bar-raw',
}

/** `metrics` fill two columns, or one when there is only one. */
export function renderChart(result: Result, title: string, metrics: readonly MetricName[]): string {
  const columns = Math.min(2, metrics.length)
  const panelHeight = PANEL.head + result.peers.length * PANEL.row
  const lines = Math.ceil(metrics.length / columns)
  const width = 2 * MARGIN + columns * PANEL.width + (columns - 1) * PANEL.gap
  const footer = footerLines(result)
  const body = TITLE_HEIGHT + lines * (panelHeight + PANEL.gap)
  const height = MARGIN + body + footer.length * FOOTER_LINE + MARGIN / 2
  const panels = metrics.map((metric, i) => {
    const x = MARGIN + (i % columns) * (PANEL.width + PANEL.gap)
    const y = MARGIN + TITLE_HEIGHT + Math.floor(i / columns) * (panelHeight + PANEL.gap)
    return `<g transform="translate(${String(x)} ${String(y)})">${panel(result.peers, metric)}</g>`
  })
  return card(title, width, height, [
    ...panels,
    ...footer.map((line, i) => text(MARGIN, MARGIN + body + i * FOOTER_LINE, line, 'foot')),
  ])
}

function panel(peers: readonly PeerResult[], metric: MetricName): string {
  const { title, unit, better } = METRICS[metric]
  const rows = ranked(peers, metric)
  const largest = Math.max(...rows.map((peer) => peer.summary[metric]?.max ?? 0), Number.MIN_VALUE)
  const plot = PANEL.width - PANEL.label - PANEL.value
  const bottom = PANEL.head + rows.length * PANEL.row
  return [
    text(0, 12, title, 'head'),
    text(0, 28, `${unit}, ${better} is better`, 'soft'),
    ...rows.map((peer, i) => row(peer, metric, PANEL.head + i * PANEL.row, plot / largest)),
    `<path class="axis" d="M${String(PANEL.label)} ${String(PANEL.head - 4)}V${String(bottom)}"/>`,
  ].join('')
}

function row(peer: PeerResult, metric: MetricName, y: number, scale: number): string {
  const middle = y + PANEL.row / 2
  const summary = peer.summary[metric]
  const own = peer.name.startsWith('whalescale') ? 'own' : ''
  const label = text(PANEL.label - 8, middle + 4, peer.name, own, 'end')
  if (summary === undefined) {
    return (
      label +
      text(
        PANEL.label + 6,
        middle + 4,
        peer.unavailable === null ? 'not measured' : 'not available',
        'soft',
      )
    )
  }
  const length = round(summary.median * scale)
  const kind = BAR_CLASS[peer.name] ?? 'bar'
  const bar = `<rect class="${kind}" x="${String(PANEL.label)}" y="${String(middle - PANEL.bar / 2)}" width="${String(length)}" height="${String(PANEL.bar)}"/>`
  const end = PANEL.label + round(Math.max(summary.median, summary.max) * scale)
  return (
    label +
    bar +
    whisker(summary, middle, scale) +
    text(end + 7, middle + 4, format(metric, summary.median), own)
  )
}

function whisker({ min, max }: Summary, middle: number, scale: number): string {
  const left = String(PANEL.label + round(min * scale))
  const right = String(PANEL.label + round(max * scale))
  const [top, bottom] = [String(middle - 3), String(middle + 3)]
  return `<path class="whisker" d="M${left} ${top}V${bottom}M${left} ${String(middle)}H${right}M${right} ${top}V${bottom}"/>`
}

/** Best first; those without a figure last, in the order of the run. */
function ranked(peers: readonly PeerResult[], metric: MetricName): PeerResult[] {
  const sign = METRICS[metric].better === 'higher' ? -1 : 1
  const key = (peer: PeerResult): number => {
    const value = peer.summary[metric]?.median
    return value === undefined ? Number.MAX_VALUE : sign * value
  }
  return [...peers].sort((a, b) => key(a) - key(b))
}

function footerLines({ provenance: p, settings: s, peers }: Result): string[] {
  const versions = peers
    .filter((peer) => peer.version !== null)
    .map((peer) => `${peer.name} ${shortVersion(peer.version ?? '')}`)
  return [
    `${p.cpu}, ${String(p.cores)} cores, kernel ${p.kernel}; commit ${p.commit}${p.modified ? ' (modified)' : ''}, ${p.date.slice(0, 10)}.`,
    `Two namespaces on one machine joined by veth, inner MTU ${String(s.innerMtu)}.`,
    `Bars: median of ${String(s.rounds)} rounds, ${String(s.loadSeconds)} s each; whiskers: minimum to maximum.`,
    ...wrap(versions, 82),
  ]
}

/** A Go pseudo-version is told by its date and commit. */
export function shortVersion(version: string): string {
  const pseudo = /-(?:0\.)?(\d{8})\d{6}-([0-9a-f]{7})[0-9a-f]{5}$/.exec(version)
  return pseudo === null ? version : `${pseudo[1] ?? ''}-${pseudo[2] ?? ''}`
}

function wrap(items: readonly string[], columns: number): string[] {
  const lines: string[] = []
  for (const item of items) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + item.length + 2 <= columns)
      lines[lines.length - 1] = `${last}, ${item}`
    else lines.push(item)
  }
  return lines
}
