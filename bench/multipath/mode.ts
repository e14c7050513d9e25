/**
 * How long and how often a run measures, and what of the grid. Data, and the seeds of each scenario.
 */
import type { Durations } from './measure.js'
import type { Settings } from './result.js'
import { SCENARIOS, type Scenario } from './scenario.js'

/**
 * - full: everything, to tell noise from difference.
 * - bars: every scenario with the default scheduler, those with a bar several times; the controls once.
 * - quick: whether it works.
 */
export type ModeName = 'full' | 'bars' | 'quick'

export interface Mode {
  /** Of the files written. */
  readonly label: string
  readonly durations: Durations
  readonly scenarios: readonly Scenario[]
  /** Runs of a scenario with a bar and chance in it, with a bar and none, and without a bar. */
  readonly seeds: number
  readonly rounds: number
  readonly roundsWithoutBar: number
  /** The first seeds only are run by what Whalescale is compared with. */
  readonly controls: number
  /** For repeating what the host disturbed: half as long again as the run takes, or so. */
  readonly patienceSeconds: number
  /** All schedulers that aggregate, or the default alone. */
  readonly compares: boolean
}

export const MODES: Readonly<Record<ModeName, Mode>> = {
  full: {
    label: 'multipath',
    durations: {
      warmUpSeconds: 3,
      loadSeconds: 8,
      silentSeconds: 3,
      afterCutSeconds: 8,
      afterReturnSeconds: 14,
      afterUdpReturnSeconds: 6,
    },
    scenarios: SCENARIOS,
    seeds: 10,
    rounds: 2,
    roundsWithoutBar: 2,
    controls: 10,
    patienceSeconds: 3600,
    compares: true,
  },
  bars: {
    label: 'multipath-bars',
    durations: {
      warmUpSeconds: 2,
      loadSeconds: 4,
      silentSeconds: 3,
      afterCutSeconds: 4,
      afterReturnSeconds: 14,
      afterUdpReturnSeconds: 6,
    },
    scenarios: SCENARIOS,
    seeds: 10,
    rounds: 3,
    roundsWithoutBar: 1,
    controls: 1,
    patienceSeconds: 2700,
    compares: false,
  },
  quick: {
    label: 'multipath-quick',
    durations: {
      warmUpSeconds: 1.5,
      loadSeconds: 3,
      silentSeconds: 3,
      afterCutSeconds: 3,
      afterReturnSeconds: 14,
      afterUdpReturnSeconds: 6,
    },
    scenarios: SCENARIOS.filter(({ quick }) => quick),
    seeds: 1,
    rounds: 1,
    roundsWithoutBar: 1,
    controls: 1,
    patienceSeconds: 0,
    compares: false,
  },
}

/** The seeds of a scenario, in order; none where all of them belong to another part of the run. */
export function seedsOf({ bars, random }: Scenario, settings: Settings): number[] {
  const { seeds, rounds, roundsWithoutBar, firstSeed } = settings
  const last = bars.length === 0 ? roundsWithoutBar : random ? seeds : rounds
  return Array.from({ length: Math.max(0, last - firstSeed + 1) }, (_, i) => firstSeed + i)
}
