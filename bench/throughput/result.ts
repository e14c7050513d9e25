/**
 * The result of a run, as the JSON file holds it.
 * Invariant: every peer asked for is in it, with figures or with the reason why it has none.
 */
import type { Turn } from './loads.js'
import type { Provenance } from '../machine.js'
import { METRIC_NAMES, type Figures, type MetricName } from './metric.js'
import { summarise, type Summary } from '../statistics.js'
import type { Verdict } from './verdict.js'

export interface PeerResult {
  readonly name: string
  readonly version: string | null
  /** Why there are no figures at all; null when there are some. */
  readonly unavailable: string | null
  readonly rounds: readonly Figures[]
  readonly summary: Partial<Record<MetricName, Summary>>
  readonly failures: readonly {
    readonly round: number
    readonly load: string
    readonly reason: string
  }[]
  /** What the agent said of itself in the first round that it could be asked. */
  readonly agent: unknown
}

export interface Settings {
  readonly rounds: number
  readonly quick: boolean
  readonly innerMtu: number
  readonly loadSeconds: number
  readonly idlePingSeconds: number
  readonly quietSeconds: number
  readonly idleCpuSeconds: number
  readonly startUpTries: number
  /** How long loads that the host disturbed may be repeated, together. */
  readonly patienceSeconds: number
}

export interface Result {
  readonly schema: 1
  readonly bench: 'throughput'
  readonly provenance: Provenance
  readonly settings: Settings
  readonly peers: readonly PeerResult[]
  readonly bars: readonly Verdict[]
}

/** Collects one peer's turns. */
export class PeerRecord {
  readonly name: string
  version: string | null = null
  agent: unknown = null
  #unavailable: string | null = null
  readonly #rounds: Figures[] = []
  readonly #failures: { round: number; load: string; reason: string }[] = []

  constructor(name: string) {
    this.name = name
  }

  get available(): boolean {
    return this.#unavailable === null
  }

  cannotRun(reason: string): void {
    this.#unavailable = reason
  }

  turn(round: number, turn: Turn): void {
    this.#rounds.push(turn.figures)
    this.#failures.push(...turn.failures.map((failure) => ({ round, ...failure })))
  }

  failedToStart(round: number, reason: string): void {
    this.#failures.push({ round, load: 'start', reason })
  }

  finish(): PeerResult {
    const summary: Partial<Record<MetricName, Summary>> = {}
    for (const metric of METRIC_NAMES) {
      const values = this.#rounds
        .map((round) => round[metric])
        .filter((value) => value !== undefined)
      const found = summarise(values)
      if (found !== undefined) summary[metric] = found
    }
    const nothing =
      Object.keys(summary).length === 0 ? (this.#failures[0]?.reason ?? 'no round was run') : null
    return {
      name: this.name,
      version: this.version,
      unavailable: this.#unavailable ?? nothing,
      rounds: this.#rounds,
      summary,
      failures: this.#failures,
      agent: this.agent,
    }
  }
}
