/**
 * The result of a run, as the JSON file holds it.
 * Invariant: every scenario and contestant asked for is in it, with figures or with the reason why it has none.
 */
import type { Provenance } from '../machine.js'
import { summarise, type Summary } from '../statistics.js'
import { FIGURE_NAMES, type FigureName, type Figures } from './figure.js'
import type { Course, Durations, Measured } from './measure.js'
import type { ModeName } from './mode.js'
import type { Scenario } from './scenario.js'
import type { Verdict } from './verdict.js'

export interface Run {
  readonly seed: number
  readonly figures: Figures
  readonly course?: Course
  /** What the agent said of its paths at the end of the first run. */
  readonly paths?: unknown
}

export interface ContestantResult {
  /** `alone 1`, `one pipe`, `mptcp`, `plain tcp`, or a scheduler of Whalescale's. */
  readonly name: string
  readonly runs: readonly Run[]
  readonly summary: Partial<Record<FigureName, Summary>>
  readonly failures: readonly { readonly seed: number; readonly reason: string }[]
}

export interface ScenarioResult extends Scenario {
  readonly contestants: readonly ContestantResult[]
}

export interface Settings extends Durations {
  readonly mode: ModeName
  readonly schedulers: readonly string[]
  /** The runs begin with this one. */
  readonly firstSeed: number
  /** The last run of a scenario with a bar and chance in it, with a bar and none, and without a bar. */
  readonly seeds: number
  readonly rounds: number
  readonly roundsWithoutBar: number
  /** The last run of what Whalescale is compared with. */
  readonly controls: number
  /** How long runs that the host disturbed may be repeated, together. */
  readonly patienceSeconds: number
}

export interface Result {
  readonly schema: 1
  readonly bench: 'multipath'
  readonly provenance: Provenance
  readonly settings: Settings
  readonly scenarios: readonly ScenarioResult[]
  readonly bars: readonly Verdict[]
}

/** Collects one contestant's runs of one scenario. */
export class ContestantRecord {
  readonly name: string
  readonly #runs: Run[] = []
  readonly #failures: { seed: number; reason: string }[] = []

  constructor(name: string) {
    this.name = name
  }

  add(seed: number, measured: Measured, paths: unknown): void {
    const described = this.#runs.length === 0 && paths !== null && { paths }
    this.#runs.push({ seed, ...measured, ...described })
  }

  failed(seed: number, reason: string): void {
    this.#failures.push({ seed, reason })
  }

  finish(): ContestantResult {
    const summary: Partial<Record<FigureName, Summary>> = {}
    for (const figure of FIGURE_NAMES) {
      const values = this.#runs.map(({ figures }) => figures[figure])
      const found = summarise(values.filter((value) => value !== undefined))
      if (found !== undefined) summary[figure] = found
    }
    return { name: this.name, runs: this.#runs, summary, failures: this.#failures }
  }
}
