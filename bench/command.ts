/**
 * Runs one bounded command to its end.
 * Invariant: no command outlives its timeout; a non-zero exit is an error that quotes the last line it wrote.
 */
import { execFile } from 'node:child_process'

import { BenchFailure } from './failure.js'

export interface CommandOptions {
  /** Milliseconds before the command is killed. */
  readonly timeoutMs?: number
  /** Written to standard input, which is then closed. */
  readonly input?: string
  readonly cwd?: string
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
}

export interface CommandResult {
  readonly stdout: string
}

const DEFAULT_TIMEOUT_MS = 30_000
/** iperf3's JSON of many flows stays far below this. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024

/** Throws `BenchFailure` (missing-tool, timeout, command-failed). */
export function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      [...args],
      {
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: MAX_OUTPUT_BYTES,
        cwd: options.cwd,
        env: { ...process.env, ...options.env },
      },
      (error, stdout, stderr) => {
        if (error === null) resolve({ stdout })
        else reject(explain(error, `${command} ${args.join(' ')}`, stdout, stderr, timeoutMs))
      },
    )
    // A command that exits before it reads its input is judged by its exit code, not by the broken pipe.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
  })
}

function explain(
  error: Error & { code?: string | number | null; killed?: boolean },
  line: string,
  stdout: string,
  stderr: string,
  timeoutMs: number,
): BenchFailure {
  if (error.code === 'ENOENT') {
    return new BenchFailure('missing-tool', `${line.split(' ')[0] ?? line} is not installed`, {
      cause: error,
    })
  }
  if (error.killed === true) {
    return new BenchFailure('timeout', `${line}: no end after ${String(timeoutMs / 1000)} s`, {
      cause: error,
    })
  }
  const said = lastLine(stderr) ?? lastLine(stdout) ?? error.message
  return new BenchFailure('command-failed', `${line}: ${said}`, { cause: error })
}

function lastLine(text: string): string | undefined {
  const line = text.trimEnd().split('\n').at(-1)?.trim()
  return line === '' ? undefined : line
}
