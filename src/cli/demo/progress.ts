/** Steps of a long command: one line each, with a live rate on a terminal. */
import { measured } from '../format.js'

const refreshMs = 250
const clearLine = '\r\u001b[2K'

export type Progress = {
  step(name: string): void
  done(result: string): void
  /** Shows the rate at which `count` (bytes) grows until the returned function is called. */
  rate(count: () => Promise<number>, seconds: number): () => void
}

type Screen = { readonly isTTY?: boolean; write(text: string): unknown }

/** @param screen where to write; nothing is written without one */
export function progress(screen: Screen | undefined): Progress {
  let current = ''
  const live = screen?.isTTY === true
  return {
    step: (name) => {
      current = name
      if (live) screen.write(`${name} ...`)
    },
    done: (result) => {
      screen?.write(`${live ? clearLine : ''}${current}: ${result}\n`)
    },
    rate: (count, seconds) => {
      if (!live) return () => undefined
      let stopped = false
      let before: { bytes: number; at: number } | undefined
      const startedAt = performance.now()
      const draw = async (): Promise<void> => {
        const bytes = await count()
        const at = performance.now()
        const [since, step] = before === undefined ? [0, 1] : [bytes - before.bytes, at - before.at]
        before = { bytes, at }
        const left = Math.max(0, Math.ceil(seconds - (at - startedAt) / 1000))
        const rate = measured((since * 8) / step / 1e6, 'Gbit/s', 2)
        // `stopped` may have changed while the answer was awaited.
        if (!isStopped()) screen.write(`${clearLine}${current} ... ${rate}, ${left} s left`)
      }
      const isStopped = (): boolean => stopped
      const timer = setInterval(() => {
        // A missed figure is not worth a word: the agent's end shows in the transfer itself.
        void draw().catch(() => undefined)
      }, refreshMs)
      return () => {
        stopped = true
        clearInterval(timer)
      }
    },
  }
}
