/**
 * Writes a result under bench/results/: the figures as JSON, and the charts drawn from them.
 * Invariant: only a full run touches the reference files; quick and partial runs have names of their own.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { projectRoot } from '#src/cli/demo/project.js'
import { aggregationChart, failoverChart } from './chart.js'
import type { Result } from './result.js'

/** Returns the paths written. */
export async function writeResult(result: Result, label: string): Promise<string[]> {
  const directory = join(projectRoot(), 'bench', 'results')
  await mkdir(directory, { recursive: true })
  const main = result.settings.schedulers[0] ?? 'edpf'
  const files: Readonly<Record<string, string | undefined>> = {
    [`${label}.json`]: `${JSON.stringify(result, null, 1)}\n`,
    [`${label}-aggregation.svg`]: aggregationChart(result, main),
    [`${label}-failover.svg`]: failoverChart(result, main),
  }
  const paths: string[] = []
  for (const [name, content] of Object.entries(files)) {
    if (content === undefined) continue
    const path = join(directory, name)
    await writeFile(path, content)
    paths.push(path)
  }
  return paths
}
