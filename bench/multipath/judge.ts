/**
 * What bonding has to reach, and whether it did.
 * Invariant: a bar whose figures are missing is `unknown`; it never counts as reached.
 */
import { percentile } from '../statistics.js'
import { FIGURES, type FigureName } from './figure.js'
import type { ContestantResult, ScenarioResult } from './result.js'
import type { Bar } from './scenario.js'
import type { Verdict } from './verdict.js'

/** One bad run is enough to miss these. */
const JUDGED_BY_WORST: ReadonlySet<FigureName> = new Set(['gap', 'lost', 'recovery'])
/** Bonding is never to be worse than the best single path: by its median, and by any run of it. */
const GUARD_MEDIAN = 0.98
const GUARD_WORST = 0.93

/** `main` is the scheduler that is judged where a scenario does not ask for another. */
export function judge(scenarios: readonly ScenarioResult[], main: string): Verdict[] {
  return [
    ...scenarios.flatMap((scenario) =>
      scenario.bars.map((bar) => judgeOne(scenario, bar, scenario.scheduler ?? main)),
    ),
    ...judgeGuard(scenarios, main),
  ]
}

function judgeOne(scenario: ScenarioResult, bar: Bar, subject: string): Verdict {
  const summary = contestant(scenario, subject)?.summary[bar.figure]
  const lowerIsBetter = FIGURES[bar.figure].better === 'lower'
  const worst = lowerIsBetter ? summary?.max : summary?.min
  const value = JUDGED_BY_WORST.has(bar.figure) ? worst : summary?.median
  const note = JUDGED_BY_WORST.has(bar.figure) ? 'worst run' : 'median'
  return verdict(scenario.name, subject, bar, value, note)
}

function judgeGuard(scenarios: readonly ScenarioResult[], subject: string): Verdict[] {
  const ratios = scenarios
    .filter(({ links }) => links.length > 1)
    .flatMap((scenario) => contestant(scenario, subject)?.runs ?? [])
    .flatMap(({ figures: { ofBest } }) => (ofBest === undefined ? [] : [ofBest]))
  const [median, worst] =
    ratios.length === 0 ? [] : ([percentile(ratios, 50), Math.min(...ratios)] as const)
  const note = `${ratios.length} runs`
  const bar = (atLeast: number): Bar => ({ figure: 'ofBest', atLeast })
  return [
    verdict('all', subject, bar(GUARD_MEDIAN), median, `median of ${note}`),
    verdict('all', subject, bar(GUARD_WORST), worst, `worst of ${note}`),
  ]
}

function verdict(
  scenario: string,
  subject: string,
  bar: Bar,
  value: number | undefined,
  note: string,
): Verdict {
  const { atLeast = -Infinity, atMost = Infinity } = bar
  if (value === undefined)
    return { scenario, subject, ...bar, outcome: 'unknown', value: null, note: 'no figure' }
  const outcome = value >= atLeast && value <= atMost ? 'pass' : 'miss'
  return { scenario, subject, ...bar, outcome, value, note }
}

export function contestant(scenario: ScenarioResult, name: string): ContestantResult | undefined {
  return scenario.contestants.find((candidate) => candidate.name === name)
}
