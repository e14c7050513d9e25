/**
 * Charts of bonding as SVG: goodput per scenario beside its yardsticks, and goodput over time around a cut. Pure.
 * Invariant: every scale starts at zero; what was not measured is absent.
 */
import { card, MARGIN, round, text } from '../svg.js'
import { contestant } from './judge.js'
import type { ContestantResult, Result, ScenarioResult } from './result.js'

const WIDTH = 720
const HEAD = 56
const FOOT = 46
const LABEL = 132
const BAR = 13
const GROUP_GAP = 30

/** Scenarios differ in scale, so each is drawn in shares of the sum of its links. */
export function aggregationChart(result: Result, main: string): string | undefined {
  const groups = result.scenarios
    .filter(({ kind, links }) => kind === 'goodput' && links.length > 1)
    .map((scenario) => ({ scenario, bars: barsOf(scenario, main) }))
    .filter(({ bars }) => bars.length > 0)
  if (groups.length === 0) return undefined
  let y = HEAD
  const content: string[] = []
  for (const { scenario, bars } of groups) {
    const sum = scenario.links.reduce((total, link) => total + link.rate, 0)
    content.push(text(MARGIN, y + 12, `${scenario.title}: ${round(sum)} Mbit/s of links`, 'head'))
    y += 20
    for (const bar of bars) {
      content.push(drawBar(bar, sum, y))
      y += BAR + 5
    }
    y += GROUP_GAP - 12
  }
  return card('One TCP flow over several links', WIDTH, y + FOOT, [
    ...content,
    ...footer(result, y + 12),
  ])
}

interface NamedBar {
  readonly name: string
  readonly mbit: number
  readonly own: boolean
}

function barsOf(scenario: ScenarioResult, main: string): NamedBar[] {
  const goodput = (name: string): number | undefined =>
    contestant(scenario, name)?.summary.goodput?.median
  const singles = scenario.links.map((_, i) => goodput(`alone ${i + 1}`))
  const known = singles.filter((value) => value !== undefined)
  const candidates = [
    { name: 'best path alone', mbit: known.length > 0 ? Math.max(...known) : undefined },
    { name: 'kernel MPTCP', mbit: goodput('mptcp') },
    { name: 'Whalescale', mbit: goodput(main) },
    {
      name: 'sum of paths alone',
      mbit:
        known.length === singles.length ? known.reduce((sum, mbit) => sum + mbit, 0) : undefined,
    },
  ]
  return candidates.flatMap(({ name, mbit }) =>
    mbit === undefined ? [] : [{ name, mbit, own: name === 'Whalescale' }],
  )
}

function drawBar({ name, mbit, own }: NamedBar, sum: number, y: number): string {
  const plot = WIDTH - 2 * MARGIN - LABEL - 60
  const length = round(Math.min(1, mbit / sum) * plot)
  const kind = own ? 'bar-own' : name === 'sum of paths alone' ? 'bar-raw' : 'bar'
  const left = MARGIN + LABEL
  return [
    text(left - 8, y + BAR - 2, name, own ? 'own' : 'soft', 'end'),
    `<rect class="${kind}" x="${left}" y="${y}" width="${length}" height="${BAR}"/>`,
    text(left + length + 7, y + BAR - 2, mbit.toFixed(1), own ? 'own' : ''),
  ].join('')
}

const PLOT_HEIGHT = 150
const PLOT_GAP = 44

/** Goodput over time of every scenario in which a link is cut. */
export function failoverChart(result: Result, main: string): string | undefined {
  const shown = result.scenarios.filter(({ contestants }) =>
    contestants.some(({ runs }) => runs[0]?.course !== undefined),
  )
  if (shown.length === 0) return undefined
  const height = HEAD + shown.length * (PLOT_HEIGHT + PLOT_GAP) + FOOT
  return card('Goodput while a link dies', WIDTH, height, [
    ...shown.map((scenario, i) => drawCourses(scenario, main, HEAD + i * (PLOT_HEIGHT + PLOT_GAP))),
    ...footer(result, height - FOOT + 12),
  ])
}

function drawCourses(scenario: ScenarioResult, main: string, top: number): string {
  const subject = scenario.scheduler ?? main
  const lines = [contestant(scenario, 'mptcp'), contestant(scenario, subject)].flatMap((found) =>
    found?.runs[0]?.course === undefined ? [] : [{ found, course: found.runs[0].course }],
  )
  const largest = Math.max(1, ...lines.flatMap(({ course }) => course.mbit))
  const seconds = Math.max(
    1,
    ...lines.map(({ course }) => (course.mbit.length * course.stepMs) / 1000),
  )
  const left = MARGIN + 36
  const scale = { x: (WIDTH - left - MARGIN) / seconds, y: (PLOT_HEIGHT - 24) / largest }
  const bottom = top + PLOT_HEIGHT
  const point = (at: number, mbit: number): string =>
    `${round(left + at * scale.x)} ${round(bottom - mbit * scale.y)}`
  const drawn = lines.map(({ found, course }) => {
    const points = course.mbit.map((mbit, i) => point(((i + 0.5) * course.stepMs) / 1000, mbit))
    return `<path class="line${isOwn(found) ? ' line-own' : ''}" d="M${points.join('L')}"/>`
  })
  const marks = lines
    .slice(-1)
    .flatMap(({ course }) => [course.cutAt, course.returnAt])
    .filter((at) => at !== null)
    .map((at) => `<path class="mark" d="M${point(at, 0)}L${point(at, largest)}"/>`)
  const names = lines.map(({ found }) => (isOwn(found) ? 'blue: Whalescale' : 'grey: kernel MPTCP'))
  return [
    text(MARGIN, top + 4, `${scenario.title} (${names.join(', ')})`, 'head'),
    `<path class="axis" d="M${left} ${top + 20}V${bottom}H${WIDTH - MARGIN}" fill="none"/>`,
    text(left - 6, round(bottom - largest * scale.y) + 8, largest.toFixed(0), 'soft', 'end'),
    text(left - 6, bottom, '0', 'soft', 'end'),
    text(WIDTH - MARGIN, bottom + 14, `${seconds.toFixed(0)} s`, 'soft', 'end'),
    ...marks,
    ...drawn,
  ].join('')
}

function isOwn({ name }: ContestantResult): boolean {
  return name !== 'mptcp'
}

function footer({ provenance: p, settings: s }: Result, y: number): string[] {
  const commit = `commit ${p.commit}${p.modified ? ' (modified)' : ''}, ${p.date.slice(0, 10)}`
  return [
    `Links emulated on one machine; cubic unless said; ${s.loadSeconds} s per run, medians. Mbit/s.`,
    `${p.cpu}, ${p.cores} cores, kernel ${p.kernel}; ${commit}.`,
  ].map((line, i) => text(MARGIN, y + i * 15, line, 'foot'))
}
