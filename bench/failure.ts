/**
 * The bench's one error type.
 * Invariant: every failure carries a stable code and, where a person can act, the remedy.
 */

export type FailureCode =
  | 'usage'
  | 'permission'
  | 'missing-tool'
  | 'command-failed'
  | 'timeout'
  | 'unexpected-output'
  | 'peer-unavailable'

export class BenchFailure extends Error {
  override readonly name = 'BenchFailure'
  readonly code: FailureCode
  readonly remedy: string | undefined

  constructor(
    code: FailureCode,
    message: string,
    options: { remedy?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.remedy = options.remedy
  }
}

/** One line that says what went wrong, for tables and result files. */
export function reasonOf(error: unknown): string {
  if (error instanceof BenchFailure) {
    return error.remedy === undefined ? error.message : `${error.message}; ${error.remedy}`
  }
  return error instanceof Error ? error.message : String(error)
}
