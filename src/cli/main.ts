#!/usr/bin/env node
/**
 * The `whalescale` command. `up CONFIG` goes straight to its own file, since loading the grammar of all
 * commands takes as long as the tunnel does; everything else is read by grammar.ts. Nothing is
 * imported here that a start can do without.
 */
import { statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

type Start = typeof import('./start.js')

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

/** When a built file was written, in milliseconds; never, when there is none. */
function written(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity
}

/** `up` in one file if that was built after the compiler last wrote its own, else file by file. */
function loadStart(): Start | Promise<Start> {
  const bundle = fileURLToPath(new URL('../up.cjs', import.meta.url))
  const compiled = written(fileURLToPath(new URL('../.tsbuildinfo', import.meta.url)))
  if (written(bundle) < compiled) return import('./start.js')
  return createRequire(import.meta.url)(bundle) as Start
}

async function run(args: readonly string[]): Promise<number> {
  const direct = plainUp(args)
  if (direct !== undefined) return (await loadStart()).start(direct.file, direct.handover)
  const { runCommand } = await import('./grammar.js')
  try {
    return await runCommand(args)
  } catch (error) {
    const { report } = await import('./report.js')
    return report(error, args.includes('--json'))
  }
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read the output (head, less) has gone: that is no failure.
  process.exit(error.code === 'EPIPE' ? 0 : 1)
})
// The agent's threads would keep the process: it ends here, with everything written.
process.exitCode = await run(process.argv.slice(2))
process.stdout.write('', () => {
  process.exit()
})
