/**
 * What the host disturbed is run again.
 * Invariant: a round begins only when the one before it is through, so that a spell of the host's is waited out by
 * measuring the rest.
 */
import { disturbedSeeds, mergeScenarios } from './merge.js'
import type { ScenarioResult } from './result.js'

/**
 * Round after round until nothing disturbed is left, or no patience; `play` runs these seeds of a scenario.
 */
export async function replay(
  played: readonly ScenarioResult[],
  play: (scenario: ScenarioResult, seeds: readonly number[]) => Promise<ScenarioResult>,
  isPatient: () => boolean,
): Promise<ScenarioResult[]> {
  const results = [...played]
  while (isPatient() && results.some((result) => disturbedSeeds(result).length > 0)) {
    for (const [i, before] of results.entries()) {
      const seeds = disturbedSeeds(before)
      if (seeds.length === 0 || !isPatient()) continue
      results[i] = mergeScenarios(before, await play(before, seeds))
    }
  }
  return results
}
