/**
 * `npm run bench -- gossip`: the shipped machines and codec in networks of growing size on virtual time.
 * How fast an update reaches all, what a quiet node sends, and what a known peer costs in memory.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { roundMs } from '#src/gossip/spread.js'
import { run } from '#src/cli/demo/command.js'
import { projectRoot } from '#src/cli/demo/project.js'
import { provenance } from '../machine.js'
import type { LossResult, SizeResult } from './measure.js'
import { bytesPerKnownPeer } from './memory.js'
import { bandwidthChart, convergenceChart, remarks, table } from './report.js'
import type { Cost } from './worker.js'

type Costly<Result> = Result & { readonly cost: Cost }

const sizes = [10, 30, 100, 300, 1_000, 5_000]
const quickSizes = [10, 30, 100]
const worker = fileURLToPath(new URL('worker.js', import.meta.url))
/** What 5,000 nodes need, with room for the collector to work in; smaller networks take less. */
const heapMB = 10_000
/** Most objects either live as long as the network or end with a step: the young get room to die. */
const youngMB = 64

async function simulate<Result>(args: readonly (string | number)[]): Promise<Costly<Result>> {
  const flags = [`--max-old-space-size=${heapMB}`, `--max-semi-space-size=${youngMB}`]
  const { stdout } = await run(process.execPath, [...flags, worker, ...args.map(String)])
  return JSON.parse(stdout) as Costly<Result>
}

async function simulateSizes(
  wanted: readonly number[],
  seed: number,
  progress: (line: string) => void,
): Promise<Costly<SizeResult>[]> {
  const results: Costly<SizeResult>[] = []
  for (const nodes of wanted) {
    progress(`${nodes} nodes`)
    results.push(await simulate<SizeResult>(['size', nodes, seed]))
  }
  return results
}

export async function gossipBench(
  quick: boolean,
  print: (line: string) => void,
  progress: (line: string) => void,
): Promise<void> {
  const seed = 20_261_121
  const machine = await provenance()
  progress('memory of a known peer')
  const bytesPerPeer = Math.round(bytesPerKnownPeer(1_000))
  progress('a lossy network, beside all sizes')
  const [nodes, seconds] = quick ? [40, 300] : [200, 3_600]
  const [hour, results] = await Promise.all([
    simulate<LossResult>(['loss', nodes, seed, seconds]),
    simulateSizes(quick ? quickSizes : sizes, seed, progress),
  ])
  const markdown = `${table(results, seed)}\n${remarks(results, hour, bytesPerPeer)}`
  print(markdown)
  const result = { machine, seed, roundMs, results, hour, bytesPerPeer }
  const label = quick ? 'gossip-quick' : 'gossip'
  const directory = join(projectRoot(), 'bench/results')
  await mkdir(directory, { recursive: true })
  const files = [
    [`${label}.json`, `${JSON.stringify(result, null, 2)}\n`],
    [`${label}.md`, markdown],
    [`${label}-convergence.svg`, convergenceChart(results)],
    [`${label}-bandwidth.svg`, bandwidthChart(results)],
  ] as const
  for (const [name, content] of files) {
    await writeFile(join(directory, name), content)
    print(`wrote bench/results/${name}`)
  }
}
