/**
 * The result as the README shows it: what has to be reached, what was, and kernel MPTCP beside it. Pure.
 */
import { FIGURES, format, type FigureName } from './figure.js'
import { contestant } from './judge.js'
import { percentile } from '../statistics.js'
import type { ContestantResult, Result, ScenarioResult } from './result.js'
import type { Bar } from './scenario.js'

/** `json` is what a run wrote. */
export function multipathMarkdown(json: string): string {
  const result = JSON.parse(json) as Result
  const main = result.settings.schedulers[0] ?? 'edpf'
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const rows = result.scenarios.flatMap((scenario) =>
    scenario.bars.map((bar) => row(cells(result, scenario, bar, scenario.scheduler ?? main))),
  )
  const guard = result.bars
    .filter(({ scenario }) => scenario === 'all')
    .map((verdict) =>
      row(['all', verdict.note, ...told(verdict.figure, verdict.value, verdict), '']),
    )
  return [
    row(['Scenario', 'Figure', 'Whalescale', 'has to be', 'MPTCP']),
    row(['---', '---', '---:', '---:', '---:']),
    ...rows,
    ...guard,
    '',
    footer(result),
  ].join('\n')
}

function cells(result: Result, scenario: ScenarioResult, bar: Bar, subject: string): string[] {
  const { figure } = bar
  const verdict = result.bars.find(
    (each) => each.scenario === scenario.name && each.figure === figure,
  )
  const own = contestant(scenario, subject)
  const [is, limit] = told(figure, verdict?.value ?? null, bar)
  const control = contestant(scenario, 'mptcp') ?? contestant(scenario, 'plain tcp')
  return [
    scenario.title,
    `${FIGURES[figure].title}${verdict === undefined ? '' : `, ${verdict.note}`}`,
    `${is}${beside(own, figure)}`,
    limit,
    compared(control, figure),
  ]
}

/** The value, bold where it misses the bar; and the bar. */
function told(
  figure: FigureName,
  value: number | null,
  { atLeast, atMost }: Bar,
): [string, string] {
  const { unit } = FIGURES[figure]
  const limit =
    atLeast === undefined ? `<= ${format(figure, atMost ?? 0)}` : `>= ${format(figure, atLeast)}`
  if (value === null) return ['not measured', limit]
  const missed = value < (atLeast ?? -Infinity) || value > (atMost ?? Infinity)
  const text = `${format(figure, value)} ${unit}`.trim()
  return [missed ? `**${text}**` : text, limit]
}

/** A share says more beside the goodput. */
function beside(own: ContestantResult | undefined, figure: FigureName): string {
  const goodput = own?.summary.goodput?.median
  return figure !== 'ofSum' || goodput === undefined
    ? ''
    : ` (${format('goodput', goodput)} ${FIGURES.goodput.unit})`
}

function compared(control: ContestantResult | undefined, figure: FigureName): string {
  const shown = figure === 'ofSum' ? 'goodput' : figure
  const median = control?.summary[shown]?.median
  if (median === undefined) return ''
  const text = `${format(shown, median)} ${FIGURES[shown].unit}`.trim()
  return control?.name === 'plain tcp' ? `${text} (plain TCP)` : text
}

function footer({ provenance: p, settings: s, scenarios }: Result): string {
  const tree = p.modified ? ' with changes' : ''
  const more = s.seeds > s.rounds ? `, ${String(s.seeds)} where a link loses by chance` : ''
  return (
    `${String(s.rounds)} runs of each${more}, MPTCP ${String(s.controls)}; one TCP flow, cubic unless said, ` +
    `${String(s.loadSeconds)} s after ${String(s.warmUpSeconds)} s; links as rate in Mbit/s / one-way delay in ms. ` +
    `${p.cpu}, ${String(p.cores)} cores, kernel ${p.kernel}, load before ${p.loadBefore.toFixed(1)}, ` +
    `commit ${p.commit}${tree}, ${p.date.slice(0, 10)}.${disturbance(scenarios)}`
  )
}

/** How much of the processors' time the host took; older results do not know. */
function disturbance(scenarios: readonly ScenarioResult[]): string {
  const runs = scenarios.flatMap(({ contestants }) => contestants.flatMap(({ runs }) => runs))
  const shares = runs.map(({ figures }) => figures.stolen).filter((share) => share !== undefined)
  if (shares.length === 0) return ''
  const [median, most] = [percentile(shares, 50), Math.max(...shares)]
  return (
    ` The host took ${format('stolen', median)} % of the processors' time in half of the runs or less, ` +
    `${format('stolen', most)} % at most.`
  )
}
