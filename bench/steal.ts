/**
 * The time that the host of a virtual machine took from it while something was measured: steal in /proc/stat
 * (proc_stat(5)).
 *
 * A measurement that the host disturbed is taken again, whatever it gave, while there is patience left; the least
 * disturbed one counts. Such spells last for seconds to minutes: hence the pauses here, and hence a bench of many
 * short runs takes the rest of them first.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** Percent of the processors' time; links are emulated by a process, and one that stands still is another link. */
const DISTURBED = 2
const FIRST_PAUSE_MS = 2_000
/** Pauses of 2 to 32 s: one measurement does not use up the patience of all. */
const MOST_REPEATS = 5

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

/** `allowed`: for what is more sensitive than a mean or a median. */
export const isDisturbed = (stolen: number, allowed = DISTURBED): boolean => stolen > allowed

/** `stat` reads /proc/stat. */
export async function watched<T>(
  measure: () => Promise<T>,
  stat: Surroundings['stat'] = readStat,
): Promise<Measurement<T>> {
  const before = ticks(await stat())
  const value = await measure()
  const after = ticks(await stat())
  const all = after.all - before.all
  return { value, stolen: all > 0 ? ((after.stolen - before.stolen) / all) * 100 : 0 }
}

/** What a bench gets from the machine; a test has twins of them. */
export interface Surroundings {
  /** Reads /proc/stat. */
  readonly stat: () => Promise<string>
  readonly pause: (ms: number) => Promise<unknown>
  /** Milliseconds of a steady clock. */
  readonly now: () => number
}

/** How long all measurements of one run of the bench may go on being repeated, together. */
export class Patience {
  #leftMs: number
  readonly #around: Surroundings

  constructor(seconds: number, around: Surroundings = MACHINE) {
    this.#leftMs = seconds * 1000
    this.#around = around
  }

  async undisturbed<T>(measure: () => Promise<T>): Promise<Measurement<T>> {
    const { stat, pause, now } = this.#around
    let best = await watched(measure, stat)
    for (let repeat = 0; repeat < MOST_REPEATS; repeat++) {
      if (!isDisturbed(best.stolen) || this.#leftMs <= 0) break
      const began = now()
      await pause(FIRST_PAUSE_MS * 2 ** repeat)
      const next = await watched(measure, stat)
      if (next.stolen < best.stolen) best = next
      this.#leftMs -= now() - began
    }
    return best
  }
}

const readStat = (): Promise<string> => readFile('/proc/stat', 'utf8')

const MACHINE: Surroundings = { stat: readStat, pause: delay, now: () => performance.now() }

/** The first line: user, nice, system, idle, iowait, irq, softirq, steal; guests' time is in user. */
function ticks(stat: string): Ticks {
  const [line = ''] = stat.split('\n', 1)
  const counts = line.trim().split(/\s+/).slice(1, 9).map(Number)
  return { all: counts.reduce((sum, count) => sum + count, 0), stolen: counts[7] ?? 0 }
}
