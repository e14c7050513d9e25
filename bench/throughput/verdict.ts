/** What has to be reached, and whether it was. */
import type { MetricName } from './metric.js'

type Yardstick = 'wireguard-go' | 'tailscale-fork' | 'best peer' | 'absolute'

export interface Bar {
  readonly subject: string
  readonly metric: MetricName
  readonly against: Yardstick
  /** At least this (higher is better) or at most this (lower is better). */
  readonly bar: number
  readonly goal?: number
}

export interface Verdict extends Bar {
  readonly outcome: 'goal' | 'pass' | 'miss' | 'unknown'
  /** The ratio, or the figure itself for an absolute bar; null when unknown. */
  readonly value: number | null
  /** Which peer was the yardstick, or why there is no verdict. */
  readonly note: string
}
