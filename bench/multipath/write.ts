/**
 * Writes a result under bench/results/: the figures as JSON, and the charts drawn from them.
 * Invariant: only a whole run touches the reference files; quick runs and parts have names of their own.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { projectRoot } from '#src/cli/demo/project.js'
import { aggregationChart, failoverChart } from './chart.js'
import type { Result } from './result.js'

const RESULTS = join(projectRoot(), 'bench', 'results')

/** What was written under this label; undefined if nothing was. */
export async function readResult(label: string): Promise<Result | undefined> {
  try {
    return JSON.parse(await readFile(join(RESULTS, `${label}.json`), 'utf8')) as Result
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Returns the paths written. */
export async function writeResult(result: Result, label: string): Promise<string[]> {
  await mkdir(RESULTS, { recursive: true })
  const main = result.settings.schedulers[0] ?? 'edpf'
  const files: Readonly<Record<string, string | undefined>> = {
    [`${label}.json`]: `${JSON.stringify(result, null, 1)}\n`,
    [`${label}-aggregation.svg`]: aggregationChart(result, main),
    [`${label}-failover.svg`]: failoverChart(result, main),
  }
  const paths: string[] = []
  for (const [name, content] of Object.entries(files)) {
    if (content === undefined) continue
    const path = join(RESULTS, name)
    await writeFile(path, content)
    paths.push(path)
  }
  return paths
}
