/** What is wrong with a configuration, each with its place in the file. */
import { ExitCode, WhalescaleError } from '../errors.js'

export type ConfigProblem = {
  readonly file: string
  readonly line: number
  /** Dotted, as in `peer.0.node_id`; empty when no key is at fault. */
  readonly key: string
  readonly what: string
  readonly remedy: string
}

function lineOfProblem({ file, line, key, what, remedy }: ConfigProblem): string {
  return `${file}:${line}: ${key === '' ? '' : `${key}: `}${what}; ${remedy}`
}

/** All that is wrong with a configuration, one line each. */
export class ConfigError extends WhalescaleError {
  readonly problems: readonly ConfigProblem[]
  constructor(problems: readonly ConfigProblem[], exitCode: ExitCode = ExitCode.usage) {
    super(problems.map(lineOfProblem).join('\n'), { code: 'BadConfig', exitCode })
    this.problems = problems
  }
}

/** An error that a key of the file causes, told at that key. */
export function atKey(
  error: WhalescaleError,
  place: Pick<ConfigProblem, 'file' | 'line' | 'key'>,
): ConfigError {
  const { message, remedy = 'correct it' } = error
  return new ConfigError([{ ...place, what: message, remedy }])
}
