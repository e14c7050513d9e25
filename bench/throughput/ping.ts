/**
 * Round-trip times by ping: every reply counts, not ping's own summary, so that percentiles are exact.
 */
import { WhalescaleError } from '#src/errors.js'
import type { Namespace } from '#src/cli/demo/lab.js'
import { mean, percentile } from '../statistics.js'

export interface RoundTrips {
  readonly mean: number
  readonly p50: number
  readonly p99: number
}

const INTERVAL_S = 0.01
/** On a busy machine ping itself comes late: it may take this many times as long as it should. */
const LATE = 3

/** Milliseconds. `seconds` bounds the run: lost replies shorten the sample, none at all is an error. */
export async function ping(from: Namespace, address: string, seconds: number): Promise<RoundTrips> {
  const { stdout } = await from.exec(
    'ping',
    [
      '-n',
      '-i',
      String(INTERVAL_S),
      '-c',
      String(Math.floor(seconds / INTERVAL_S)),
      '-w',
      String(Math.ceil(seconds) * LATE + 1),
      address,
    ],
    { timeoutMs: (seconds * LATE + 10) * 1000 },
  )
  return roundTrips(stdout)
}

/** Exported for its test. Throws `WhalescaleError` (unexpected-output) when there is no reply. */
function roundTrips(output: string): RoundTrips {
  const times = [...output.matchAll(/ time=([\d.]+) ms/g)].map((match) => Number(match[1]))
  if (times.length === 0)
    throw new WhalescaleError('ping got no reply', { code: 'UnexpectedOutput' })
  return { mean: mean(times), p50: percentile(times, 50), p99: percentile(times, 99) }
}
