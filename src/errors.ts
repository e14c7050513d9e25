/**
 * The errors a user can meet. Each tells what happened, its stable code, what to do about it, and the
 * exit code of the command that met it. Anything else that is thrown is a defect of the program.
 */

/** Exit codes of every command. */
export const ExitCode = {
  ok: 0,
  failure: 1,
  usage: 2,
  notRunning: 3,
  unreachable: 4,
  permission: 5,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

type Details = { code: string; remedy?: string; exitCode?: ExitCode; cause?: unknown }

export class WhalescaleError extends Error {
  /** Stable upper-camel-case name of the kind of failure, for programs. */
  readonly code: string
  /** What the user can do about it, or undefined when the message says it all. */
  readonly remedy: string | undefined
  readonly exitCode: ExitCode

  constructor(message: string, details: Details) {
    super(message, { cause: details.cause })
    this.name = 'WhalescaleError'
    this.code = details.code
    this.remedy = details.remedy
    this.exitCode = details.exitCode ?? ExitCode.failure
  }

  /** One line for people: what happened, then what to do. */
  get line(): string {
    return this.remedy === undefined ? this.message : `${this.message}; ${this.remedy}`
  }
}

/** The `code` of a system error (ENOENT, EACCES, ...), or undefined when it has none. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
