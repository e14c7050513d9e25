/** How a command tells the user that it failed. */
import { ConfigError } from '../config/error.js'
import { ExitCode, WhalescaleError, messageOf } from '../errors.js'

/** Writes one line per problem, or one JSON value; returns the exit code that goes with it. */
export function report(error: unknown, json: boolean): ExitCode {
  const known = error instanceof WhalescaleError
  const exitCode = known ? error.exitCode : ExitCode.failure
  if (json) {
    const code = known ? error.code : 'Internal'
    const remedy = known ? (error.remedy ?? null) : null
    const problems = error instanceof ConfigError ? { problems: error.problems } : {}
    const body = { code, message: messageOf(error), remedy, exitCode, ...problems }
    process.stdout.write(`${JSON.stringify({ schema: 1, error: body })}\n`)
  } else if (known) {
    for (const line of error.line.split('\n')) process.stderr.write(`whalescale: ${line}\n`)
  } else {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.stderr.write(`whalescale: defect: ${text}\n`)
  }
  return exitCode
}
