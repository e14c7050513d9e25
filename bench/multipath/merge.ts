/**
 * Parts of a run become one result. Pure.
 * Invariant: only what one machine measured of one commit, in the same way, is put together.
 */
import { isDisturbed } from '../steal.js'
import { judge } from './judge.js'
import { seedsOf } from './mode.js'
import {
  ContestantRecord,
  type ContestantResult,
  type Result,
  type Run,
  type ScenarioResult,
  type Settings,
} from './result.js'
import type { Kind, Scenario } from './scenario.js'

/** Whether both are parts of one run. */
export function agree(a: Result, b: Result): boolean {
  return JSON.stringify(conditions(a)) === JSON.stringify(conditions(b))
}

function conditions({ provenance, settings }: Result): unknown {
  const { cpu, cores, memoryMB, kernel, commit, modified } = provenance
  // A modified tree says nothing of what was measured: each such part stands alone.
  const tree = modified ? provenance.date : commit
  const main = settings.schedulers[0]
  const which = { firstSeed: 0, seeds: 0, rounds: 0, roundsWithoutBar: 0, schedulers: [main] }
  return { cpu, cores, memoryMB, kernel, tree, ...settings, ...which }
}

/**
 * `order` gives the scenarios their places. A run of the same seed is replaced by the newer one, but never by one that
 * the host disturbed more.
 */
export function merge(older: Result, newer: Result, order: readonly Scenario[]): Result {
  const scenarios = order.flatMap(({ name }) => {
    const parts = [older, newer].flatMap(({ scenarios }) =>
      scenarios.filter((scenario) => scenario.name === name),
    )
    return parts.length === 0 ? [] : [parts.reduce(mergeScenarios)]
  })
  const [a, b] = [older.settings, newer.settings]
  const settings = {
    ...b,
    schedulers: [...new Set([...a.schedulers, ...b.schedulers])],
    firstSeed: Math.min(a.firstSeed, b.firstSeed),
    seeds: Math.max(a.seeds, b.seeds),
    rounds: Math.max(a.rounds, b.rounds),
    roundsWithoutBar: Math.max(a.roundsWithoutBar, b.roundsWithoutBar),
  }
  const loadBefore = Math.max(older.provenance.loadBefore, newer.provenance.loadBefore)
  const bars = judge(scenarios, settings.schedulers[0] ?? 'edpf')
  return {
    ...newer,
    provenance: { ...newer.provenance, loadBefore },
    settings,
    scenarios,
    bars,
  }
}

/** Percent of the processors' time: a hundredth of the requests decides the 99th percentile of how long they take. */
const DISTURBED_RPC = 0.5

const isDisturbedRun = (kind: Kind, run: Run): boolean =>
  isDisturbed(stolen(run), kind === 'rpc' ? DISTURBED_RPC : undefined)

const stolen = ({ figures }: Run): number => figures.stolen ?? 0

export function mergeScenarios(older: ScenarioResult, newer: ScenarioResult): ScenarioResult {
  const all = [...older.contestants, ...newer.contestants]
  const names = [...new Set(all.map(({ name }) => name))]
  return {
    ...newer,
    contestants: names.map((name) =>
      mergeContestants(
        newer.kind,
        all.filter((contestant) => contestant.name === name),
      ),
    ),
  }
}

function mergeContestants(kind: Kind, parts: readonly ContestantResult[]): ContestantResult {
  const runs = new Map<number, Run>()
  for (const run of parts.flatMap((part) => part.runs)) {
    const before = runs.get(run.seed)
    const isQuiet = !isDisturbedRun(kind, run)
    if (before === undefined || isQuiet || stolen(run) < stolen(before)) runs.set(run.seed, run)
  }
  const failures = parts.flatMap((part) => part.failures).filter(({ seed }) => !runs.has(seed))
  const record = new ContestantRecord(parts[0]?.name ?? '')
  for (const run of [...runs.values()].sort((a, b) => a.seed - b.seed)) {
    record.add(run.seed, run, run.paths ?? null)
  }
  for (const { seed, reason } of new Map(failures.map((each) => [each.seed, each])).values()) {
    record.failed(seed, reason)
  }
  return record.finish()
}

/** Those of which the host disturbed any contestant's run. */
export function disturbedSeeds({ kind, contestants }: ScenarioResult): number[] {
  const runs = contestants.flatMap(({ runs }) => runs)
  const seeds = runs.filter((run) => isDisturbedRun(kind, run)).map(({ seed }) => seed)
  return [...new Set(seeds)].sort((a, b) => a - b)
}

/** Whether nothing is left to run of what `whole` asks for. */
export function isComplete(
  result: Result,
  scenarios: readonly Scenario[],
  whole: Settings,
): boolean {
  return scenarios.every((scenario) => {
    const found = result.scenarios.find(({ name }) => name === scenario.name)
    const wanted = scenario.scheduler === undefined ? whole.schedulers : [scenario.scheduler]
    return wanted.every((name) => {
      const played = found?.contestants.find((contestant) => contestant.name === name)
      const seeds = new Set(
        [...(played?.runs ?? []), ...(played?.failures ?? [])].map((run) => run.seed),
      )
      return seedsOf(scenario, whole).every((seed) => seeds.has(seed))
    })
  })
}
