/** A log that keeps its lines. */
import type { Log } from '#src/node/log.js'

export type LogTwin = Log & { readonly lines: { level: string; message: string }[] }

export function logTwin(): LogTwin {
  const lines: LogTwin['lines'] = []
  const keep =
    (level: string): Log['info'] =>
    (_fields, message) => {
      lines.push({ level, message })
    }
  return {
    lines,
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
  }
}
