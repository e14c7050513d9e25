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
/** What `auto` may lose to the best fixed scheduler. */
const AUTO_LOSS = 0.97

/** `main` is the scheduler that is judged where a scenario does not ask for another. */
export function judge(scenarios: readonly ScenarioResult[], main: string): Verdict[] {
  return [
    ...scenarios.flatMap((scenario) =>
      scenario.bars.map((bar) => judgeOne(scenario, bar, scenario.scheduler ?? main)),
    ),
    ...judgeGuard(scenarios, main),
    ...judgeAuto(scenarios),
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

/** `auto` is to lose to no fixed scheduler, where several were run. */
function judgeAuto(scenarios: readonly ScenarioResult[]): Verdict[] {
  return scenarios.flatMap((scenario) => {
    const own = median(contestant(scenario, 'auto'))
    const fixed = ['edpf', 'wrr', 'minrtt'].map((name) => ({
      name,
      goodput: median(contestant(scenario, name)) ?? 0,
    }))
    const best = fixed.reduce((a, b) => (b.goodput > a.goodput ? b : a))
    if (scenario.kind !== 'goodput' || own === undefined || best.goodput === 0) return []
    const bar: Bar = { figure: 'ofBest', atLeast: AUTO_LOSS }
    return [verdict(scenario.name, 'auto', bar, own / best.goodput, `against ${best.name}`)]
  })
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

function median(result: ContestantResult | undefined): number | undefined {
  return result?.summary.goodput?.median
}
