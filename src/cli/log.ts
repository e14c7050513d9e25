/**
 * The log of `up`: pino, as JSON lines, or coloured for a terminal. Loading it takes longer than
 * starting a tunnel, so lines are kept until it is there.
 */
import type { Log } from '../node/log.js'

export type LateLog = Log & {
  /** Loads the writer and writes what was kept. */
  attach(): Promise<void>
}

async function loadWriter(): Promise<{ writer: Log }> {
  const { pino } = await import('pino')
  if (!process.stdout.isTTY) return { writer: pino({ base: null }) }
  const { default: pretty } = await import('pino-pretty')
  const stream = pretty({ sync: true, translateTime: 'SYS:HH:MM:ss.l' })
  return { writer: pino({ base: null }, stream) }
}

export function lateLog(load: () => Promise<{ writer: Log }> = loadWriter): LateLog {
  let writer: Log | undefined
  /** Bounded by how much can happen while a module loads. */
  const kept: (() => void)[] = []
  const write =
    (level: keyof Log): Log['info'] =>
    (fields, message) => {
      if (writer === undefined) kept.push(() => writer?.[level](fields, message))
      else writer[level](fields, message)
    }
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    attach: async () => {
      writer = (await load()).writer
      for (const line of kept.splice(0)) line()
    },
  }
}
