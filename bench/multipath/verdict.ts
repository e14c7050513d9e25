/** Whether a bar was reached. */
import type { Bar } from './scenario.js'

export interface Verdict extends Bar {
  /** The scenario, or `all`. */
  readonly scenario: string
  /** Which scheduler is judged. */
  readonly subject: string
  readonly outcome: 'pass' | 'miss' | 'unknown'
  /** Null when unknown. */
  readonly value: number | null
  readonly note: string
}
