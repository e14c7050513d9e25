/**
 * Runs one command to its end, for the demo, the end-to-end tests and the bench. No command outlives
 * its time; a non-zero exit is an error that quotes what the command wrote.
 */
import { execFile } from 'node:child_process'
import { WhalescaleError, messageOf } from '../../errors.js'

/** iperf3's JSON of a long run stays well below. */
export const largestOutput = 64 * 1024 * 1024

export type Output = { readonly stdout: string; readonly stderr: string }

export type CommandOptions = {
  /** Milliseconds until it is killed; without it the command may take for ever. */
  readonly timeoutMs?: number
  /** Written to its standard input, which is then closed. */
  readonly input?: string
  readonly cwd?: string
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>
}

/** @throws WhalescaleError ToolMissing, Timeout or CommandFailed */
export function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Output> {
  const { timeoutMs = 0, input = '', cwd, env } = options
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      {
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: largestOutput,
        cwd,
        env: { ...process.env, ...env },
      },
      (error, stdout, stderr) => {
        if (error === null) resolve({ stdout, stderr })
        else reject(explain(error, [command, ...args].join(' '), { stdout, stderr }, timeoutMs))
      },
    )
    // A command that ends before it reads its input is judged by its exit code, not by the broken pipe.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}

function explain(
  error: Error & { code?: string | number | null; killed?: boolean },
  line: string,
  { stdout, stderr }: Output,
  timeoutMs: number,
): WhalescaleError {
  if (error.code === 'ENOENT') {
    const tool = line.split(' ')[0] ?? line
    return new WhalescaleError(`${tool} is not installed`, { code: 'ToolMissing', cause: error })
  }
  if (error.killed === true) {
    const text = `${line}: no end after ${timeoutMs / 1000} s`
    return new WhalescaleError(text, { code: 'Timeout', cause: error })
  }
  const said = [stderr, stdout].map((text) => text.trim()).find((text) => text !== '')
  return new WhalescaleError(`${line}: ${said ?? messageOf(error)}`, {
    code: 'CommandFailed',
    cause: error,
  })
}
