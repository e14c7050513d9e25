/**
 * iperf3, one server and one client per load.
 * Invariants: TCP is always cubic; every figure is what the receiver counted; a server handles one client and is
 * ended by its own pid when that client fails.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

import { WhalescaleError } from '#src/errors.js'
import type { LabProcess, Namespace } from '#src/cli/demo/lab.js'

export interface Flow {
  readonly from: Namespace
  readonly to: Namespace
  /** Address of `to`. */
  readonly address: string
  readonly port: number
  readonly seconds: number
}

export interface Received {
  readonly bytes: number
  readonly seconds: number
}

/** Beyond the load itself: connecting and exchanging results through a saturated tunnel. */
const GRACE_MS = 15_000
const LISTEN_DEADLINE_MS = 5_000

export function tcp(flow: Flow, streams: number): Promise<Received> {
  return measure(flow, ['-C', 'cubic', '-P', String(streams)])
}

/** Sends datagrams of `length` bytes as fast as one sender can. */
export function udp(flow: Flow, length: number): Promise<Received> {
  return measure(flow, ['-u', '-b', '0', '-l', String(length)])
}

async function measure(flow: Flow, load: readonly string[]): Promise<Received> {
  const server = flow.to.spawn('iperf3', ['-s', '-1', '-p', String(flow.port)])
  try {
    await listening(server, flow.port)
    const { stdout } = await flow.from.exec(
      'iperf3',
      ['-c', flow.address, '-p', String(flow.port), '-t', String(flow.seconds), '-J', ...load],
      { timeoutMs: flow.seconds * 1000 + GRACE_MS },
    )
    return received(stdout)
  } finally {
    await server.stop()
  }
}

interface Report {
  readonly error?: unknown
  readonly end?: {
    readonly sum_received?: { readonly bytes?: unknown; readonly seconds?: unknown }
  }
}

/** Exported for its test. Throws `WhalescaleError` (command-failed, unexpected-output). */
function received(json: string): Received {
  const report = JSON.parse(json) as Report
  if (typeof report.error === 'string')
    throw new WhalescaleError(`iperf3: ${report.error}`, { code: 'CommandFailed' })
  const { bytes, seconds } = report.end?.sum_received ?? {}
  if (typeof bytes !== 'number' || typeof seconds !== 'number' || seconds <= 0) {
    throw new WhalescaleError('iperf3 reports no received bytes', {
      code: 'UnexpectedOutput',
      remedy: 'install iperf3 3.10 or newer',
    })
  }
  return { bytes, seconds }
}

/** Looks at the server's own socket table: a probing connection would use up its one client. */
async function listening(server: LabProcess, port: number): Promise<void> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const deadline = performance.now() + LISTEN_DEADLINE_MS
  while (performance.now() < deadline) {
    for (const table of ['tcp', 'tcp6']) {
      const rows = (await readFile(`/proc/${String(server.pid)}/net/${table}`, 'utf8')).split('\n')
      if (rows.some((row) => isListener(row, wanted))) return
    }
    await delay(5)
  }
  throw new WhalescaleError(
    `iperf3 does not listen: ${server.output().stderr.trim() || 'no message'}`,
    { code: 'Timeout' },
  )
}

/** proc(5), /proc/net/tcp: slot, local address, remote address, state; 0A is LISTEN. */
function isListener(row: string, port: string): boolean {
  const fields = row.trim().split(/\s+/)
  return fields[1]?.endsWith(port) === true && fields[3] === '0A'
}
