/** One line that says what went wrong and what to do, for tables and result files. */
import { WhalescaleError, messageOf } from '#src/errors.js'

export function reasonOf(error: unknown): string {
  const text = error instanceof WhalescaleError ? error.line : messageOf(error)
  return text.trim().split('\n').at(-1) ?? text
}
