/**
 * The time that the host of a virtual machine took from it while something was measured: steal in /proc/stat
 * (proc_stat(5)).
 *
 * A measurement that the host disturbed is taken once more, whatever it gave; the less disturbed one counts.
 */
import { readFile } from 'node:fs/promises'

/** Percent of the processors' time; links are emulated by a process, and one that stands still is another link. */
const DISTURBED = 2

/** Since the machine started. */
interface Ticks {
  readonly all: number
  readonly stolen: number
}

export interface Measurement<T> {
  readonly value: T
  /** Percent of the processors' time. */
  readonly stolen: number
}

/** `stat` reads /proc/stat. */
export async function watched<T>(
  measure: () => Promise<T>,
  stat: () => Promise<string> = readStat,
): Promise<Measurement<T>> {
  const before = ticks(await stat())
  const value = await measure()
  const after = ticks(await stat())
  const all = after.all - before.all
  return { value, stolen: all > 0 ? ((after.stolen - before.stolen) / all) * 100 : 0 }
}

/** `stat` reads /proc/stat. */
export async function undisturbed<T>(
  measure: () => Promise<T>,
  stat: () => Promise<string> = readStat,
): Promise<Measurement<T>> {
  const first = await watched(measure, stat)
  if (first.stolen <= DISTURBED) return first
  const second = await watched(measure, stat)
  return second.stolen < first.stolen ? second : first
}

const readStat = (): Promise<string> => readFile('/proc/stat', 'utf8')

/** The first line: user, nice, system, idle, iowait, irq, softirq, steal; guests' time is in user. */
function ticks(stat: string): Ticks {
  const [line = ''] = stat.split('\n', 1)
  const counts = line.trim().split(/\s+/).slice(1, 9).map(Number)
  return { all: counts.reduce((sum, count) => sum + count, 0), stolen: counts[7] ?? 0 }
}
