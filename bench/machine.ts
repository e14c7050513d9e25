/**
 * Where and on what the figures were taken.
 */
import { cpus, loadavg, release, totalmem } from 'node:os'

import { run } from '#src/cli/demo/command.js'
import { projectRoot } from '#src/cli/demo/project.js'

export interface Provenance {
  readonly date: string
  readonly cpu: string
  readonly cores: number
  readonly memoryMB: number
  readonly kernel: string
  readonly commit: string
  /** The working tree differs from the commit. */
  readonly modified: boolean
  /** One-minute load average before the run: above some tenths, the machine was not quiet. */
  readonly loadBefore: number
  readonly iperf3: string
  readonly node: string
}

export async function provenance(): Promise<Provenance> {
  const cwd = projectRoot()
  const { stdout: commit } = await run('git', ['rev-parse', '--short=12', 'HEAD'], { cwd })
  const { stdout: changes } = await run(
    'git',
    ['status', '--porcelain', '--', '.', ':!bench/results'],
    { cwd },
  )
  const { stdout: iperf3 } = await run('iperf3', ['--version'])
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryMB: Math.round(totalmem() / 1e6),
    kernel: release(),
    commit: commit.trim(),
    modified: changes.trim() !== '',
    loadBefore: loadavg()[0] ?? 0,
    iperf3: iperf3.split('\n')[0]?.trim() ?? 'unknown',
    node: process.version,
  }
}
