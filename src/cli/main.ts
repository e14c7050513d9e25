#!/usr/bin/env node
/**
 * The `whalescale` command. `up CONFIG` goes straight to its module, since loading the grammar of all
 * commands takes as long as the tunnel does; everything else is read by grammar.ts.
 */
import { ConfigError } from '../config/error.js'
import { ExitCode, WhalescaleError, messageOf } from '../errors.js'

/** `up CONFIG`, perhaps with the hidden option that the program itself adds. */
function plainUp(args: readonly string[]): { file: string; handover?: number } | undefined {
  const [command, file, extra, ...rest] = args
  if (command !== 'up' || file === undefined || file.startsWith('-') || rest.length > 0) {
    return undefined
  }
  if (extra === undefined) return { file }
  const handover = /^--handover=(\d+)$/.exec(extra)?.[1]
  return handover === undefined ? undefined : { file, handover: Number(handover) }
}

async function run(args: readonly string[]): Promise<ExitCode> {
  const direct = plainUp(args)
  if (direct !== undefined) {
    const { up } = await import('./commands/up.js')
    return up(direct.file, direct.handover)
  }
  const { runCommand } = await import('./grammar.js')
  return runCommand(args)
}

function report(error: unknown, json: boolean): ExitCode {
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

const args = process.argv.slice(2)
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read the output (head, less) has gone: that is no failure.
  process.exit(error.code === 'EPIPE' ? ExitCode.ok : ExitCode.failure)
})
// The agent's threads would keep the process: it ends here, with everything written.
process.exitCode = await run(args).catch((error: unknown) => report(error, args.includes('--json')))
process.stdout.write('', () => {
  process.exit()
})
