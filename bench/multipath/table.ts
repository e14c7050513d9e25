/**
 * The result as text: figures per scenario, bars, and what failed. Pure.
 */
import { align } from '../align.js'
import { FIGURE_NAMES, FIGURES, format, type FigureName } from './figure.js'
import type { ContestantResult, Result, ScenarioResult } from './result.js'
import type { Verdict } from './verdict.js'

const MARKS: Readonly<Record<Verdict['outcome'], string>> = {
  pass: 'pass',
  miss: 'MISS',
  unknown: '?',
}

export function renderTables(result: Result): string {
  const failures = result.scenarios.flatMap(failuresOf)
  const sections = [
    heading(result),
    ...result.scenarios.map(scenarioTable),
    `Bars\n${bars(result.bars)}`,
    ...(failures.length > 0 ? [`Failed\n${failures.join('\n')}`] : []),
  ]
  return `${sections.join('\n\n')}\n`
}

function heading({ provenance: p, settings: s }: Result): string {
  return [
    `${p.cpu}, ${p.cores} cores, kernel ${p.kernel}, load before ${p.loadBefore.toFixed(2)}`,
    `commit ${p.commit}${p.modified ? ' (modified)' : ''}, ${p.date}`,
    `${s.loadSeconds} s per load after ${s.warmUpSeconds} s; ${s.seeds} seeds where there is chance, else ${s.rounds}, without a bar ${s.roundsWithoutBar}`,
  ].join('\n')
}

function scenarioTable(scenario: ScenarioResult): string {
  const { contestants } = scenario
  const shown = FIGURE_NAMES.filter((figure) =>
    contestants.some(({ summary }) => summary[figure] !== undefined),
  )
  const rows = [
    ['', ...shown.map((figure) => `${FIGURES[figure].title} ${FIGURES[figure].unit}`.trim())],
    ...contestants.map((contestant) => [
      contestant.name,
      ...shown.map((figure) => cell(contestant, figure)),
    ]),
  ]
  return `${scenario.name}: ${scenario.title}\n${align(rows)}`
}

/** The median, and the range where there is one. */
function cell({ summary }: ContestantResult, figure: FigureName): string {
  const found = summary[figure]
  if (found === undefined) return '-'
  const median = format(figure, found.median)
  if (found.count === 1) return median
  return `${median} (${format(figure, found.min)}-${format(figure, found.max)})`
}

function bars(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map((verdict) => {
    const { figure, atLeast, atMost, value } = verdict
    const limit =
      atLeast === undefined ? `<= ${format(figure, atMost ?? 0)}` : `>= ${format(figure, atLeast)}`
    return [
      MARKS[verdict.outcome],
      verdict.scenario,
      verdict.subject,
      `${FIGURES[figure].title} ${FIGURES[figure].unit}`.trim(),
      value === null ? '-' : format(figure, value),
      limit,
      verdict.note,
    ]
  })
  return align([['', 'scenario', 'of', 'figure', 'is', 'bar', 'note'], ...rows], 'left')
}

function failuresOf({ name, contestants }: ScenarioResult): string[] {
  return contestants.flatMap((contestant) =>
    contestant.failures.map(
      ({ seed, reason }) => `${name}, ${contestant.name}, seed ${seed}: ${reason}`,
    ),
  )
}
