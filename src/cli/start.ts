/** `up CONFIG` from its file to its exit code: what scripts/bundle.js puts into one file. */
import type { ExitCode } from '../errors.js'
import { up } from './commands/up.js'
import { report } from './report.js'

/** @param handover descriptor left by the image that had root, if there was one */
export function start(file: string, handover?: number): Promise<ExitCode> {
  return up(file, handover).catch((error: unknown) => report(error, false))
}

/** Runs what a start runs as far as that has no effect, so that a cache of compiled code holds it. */
export async function rehearse(configuration: string): Promise<void> {
  const [{ parseConfig }] = await Promise.all([
    import('../config/load.js'),
    import('./prepare.js'),
    import('../api/server.js'),
  ])
  parseConfig(configuration, 'rehearsal.toml')
}
