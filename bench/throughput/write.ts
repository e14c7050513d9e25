/**
 * Writes a result under bench/results/: the figures as JSON, and the charts drawn from them.
 * Invariant: only a full run touches the reference files; quick and partial runs have names of their own.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { projectRoot } from '#src/cli/demo/project.js'
import { renderChart } from './chart.js'
import type { MetricName } from './metric.js'
import type { Result } from './result.js'

const OVERVIEW: readonly MetricName[] = [
  'tcpOne',
  'tcpFour',
  'bothWays',
  'cpuPerGB',
  'udp64',
  'udp1300',
  'pingIdle',
  'pingLoaded',
  'rss',
  'idleCpu',
]

/** Returns the paths written. */
export async function writeResult(result: Result, label: string): Promise<string[]> {
  const directory = join(projectRoot(), 'bench', 'results')
  await mkdir(directory, { recursive: true })
  const files: Readonly<Record<string, string>> = {
    [`${label}.json`]: `${JSON.stringify(result, null, 2)}\n`,
    [`${label}.svg`]: renderChart(result, 'Userspace VPNs on one path', OVERVIEW),
    [`${label}-one-flow.svg`]: renderChart(result, 'Userspace VPNs, one TCP flow', ['tcpOne']),
  }
  const paths: string[] = []
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, name)
    await writeFile(path, content)
    paths.push(path)
  }
  return paths
}
