#!/usr/bin/env node
/**
 * The `whalescale` command. `up CONFIG` goes straight to its own file, since loading the grammar of all
 * commands takes as long as the tunnel does; everything else is read by grammar.ts. Nothing is
 * imported here that a start can do without.
 */
import { readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Script } from 'node:vm'

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

const built = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url))

/** When a built file was written, in milliseconds; never, when there is none. */
function written(name: string): number {
  return statSync(built(name), { throwIfNoEntry: false })?.mtimeMs ?? -Infinity
}

/**
 * `up` in one file, with what V8 compiled of it when it was built (which another V8 than that ignores);
 * file by file where the compiler has written since.
 */
function loadStart(): Start | Promise<Start> {
  if (written('up.cache') < written('.tsbuildinfo')) return import('./start.js')
  const filename = built('up.cjs')
  const script = new Script(readFileSync(filename, 'utf8'), {
    filename,
    cachedData: readFileSync(built('up.cache')),
  })
  const load = script.runInThisContext() as (require: NodeJS.Require, url: string) => Start
  return load(createRequire(filename), pathToFileURL(filename).href)
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
