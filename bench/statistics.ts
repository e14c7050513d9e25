/**
 * Medians, percentiles and ranges. Pure.
 */

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly count: number
}

/** Undefined for no samples: what was not measured is absent, never 0. */
export function summarise(samples: readonly number[]): Summary | undefined {
  if (samples.length === 0) return undefined
  return {
    median: percentile(samples, 50),
    min: Math.min(...samples),
    max: Math.max(...samples),
    count: samples.length,
  }
}

/** Linear interpolation between closest ranks; `samples` must not be empty, `rank` is 0 to 100. */
export function percentile(samples: readonly number[], rank: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  const position = (rank / 100) * (sorted.length - 1)
  const below = sorted[Math.floor(position)]
  const above = sorted[Math.ceil(position)]
  if (below === undefined || above === undefined) throw new RangeError('a percentile of no samples')
  return below + (above - below) * (position - Math.floor(position))
}

export function mean(samples: readonly number[]): number {
  if (samples.length === 0) throw new RangeError('a mean of no samples')
  return samples.reduce((sum, sample) => sum + sample, 0) / samples.length
}
