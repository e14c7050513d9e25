/**
 * One simulation in a process of its own, whose heap is as large as it needs: prints its result as JSON, with
 * what it cost.
 */
import { measureLoss, measureSize } from './measure.js'

/** What a simulation cost, of this machine. */
export interface Cost {
  readonly cpuSeconds: number
  readonly peakMB: number
}

const [what, nodes, seed, virtualSeconds] = process.argv.slice(2)
const result =
  what === 'loss'
    ? measureLoss(Number(nodes), Number(virtualSeconds), Number(seed))
    : measureSize(Number(nodes), Number(seed))
const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage()
const cost: Cost = {
  cpuSeconds: Math.round((userCPUTime + systemCPUTime) / 1e6),
  peakMB: Math.round(maxRSS / 1e3),
}
process.stdout.write(JSON.stringify({ ...result, cost }))
