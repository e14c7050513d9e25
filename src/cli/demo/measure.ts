/** What the demo measures, with the tools that everybody has: ping, iperf3 and /proc. */
import { readFileSync } from 'node:fs'
import { WhalescaleError } from '../../errors.js'
import type { Namespace } from './lab.js'
import type { RunningNode } from './nodes.js'

/** USER_HZ, which Linux promises to user space on every architecture that Node runs on. */
const ticksPerSecond = 100

/** CPU time that a process has used, user and system. */
function cpuSeconds(pid: number): number {
  // The name in field 2 may hold spaces; what follows its parenthesis are fields 3 and on (proc(5)).
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Average round trip of ten packets, or null when none came back. */
export async function roundTripMs(from: Namespace, address: string): Promise<number | null> {
  const { stdout } = await from.exec('ping', ['-q', '-c', '10', '-i', '0.1', '-w', '5', address])
  const average = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1]
  return average === undefined ? null : Number(average)
}

export type Transfer = { readonly gbps: number; readonly cpuSecondsPerGb: number }

type Report = {
  end?: {
    sum_sent?: { retransmits?: number }
    sum_received?: { bytes: number; bits_per_second: number }
  }
  intervals?: { sum: { bits_per_second: number } }[]
  error?: string
}

/**
 * One TCP flow (cubic) by iperf3, from its client to its server unless `more` turns it round.
 * @throws WhalescaleError with what iperf3 said when there is no result
 */
async function flow(
  client: RunningNode,
  server: RunningNode,
  seconds: number,
  more: readonly string[] = [],
): Promise<Report & { received: { bytes: number; bits_per_second: number } }> {
  const address = server.address.split('/')[0] ?? ''
  const listener = server.namespace.spawn('iperf3', ['-s', '-1', '-B', address, '--forceflush'])
  await listening(listener.child)
  const limits = ['-t', String(seconds), '-C', 'cubic', '--connect-timeout', '5000']
  const args = ['-c', address, ...limits, ...more, '-J']
  const { stdout } = await client.namespace.exec('iperf3', args)
  await listener.stop()
  const report = JSON.parse(stdout) as Report
  const received = report.end?.sum_received
  if (received === undefined) {
    throw new WhalescaleError(`iperf3: ${report.error ?? 'no result'}`, { code: 'IperfFailed' })
  }
  return { ...report, received }
}

/** One TCP flow between two nodes, `to` being the server; the agents' CPU is that of both. */
export async function transfer(
  from: RunningNode,
  to: RunningNode,
  seconds: number,
): Promise<Transfer> {
  const used = (): number => cpuSeconds(from.process.pid) + cpuSeconds(to.process.pid)
  const before = used()
  const { received } = await flow(from, to, seconds)
  const cpu = used() - before
  return { gbps: received.bits_per_second / 1e9, cpuSecondsPerGb: (cpu * 1e9) / received.bytes }
}

/** iperf3's shortest interval is 0.1 s. */
export const intervalSeconds = 0.1

export type MeteredTransfer = {
  /** What arrived in each interval, Mbit/s. */
  readonly mbps: readonly number[]
  /** Segments that the inner TCP sent again. */
  readonly retransmits: number
}

/** The same, seen interval by interval at the receiver. */
export async function meteredTransfer(
  from: RunningNode,
  to: RunningNode,
  seconds: number,
): Promise<MeteredTransfer> {
  // Of iperf3's two ends, only the client writes JSON and says when it began: here it receives.
  const report = await flow(to, from, seconds, ['-R', '-i', String(intervalSeconds)])
  return {
    mbps: (report.intervals ?? []).map(({ sum }) => sum.bits_per_second / 1e6),
    retransmits: report.end?.sum_sent?.retransmits ?? 0,
  }
}

/** Resolves when iperf3 says that it listens, or ends. */
function listening(server: RunningNode['process']['child']): Promise<void> {
  return new Promise((resolve) => {
    server.stdout?.on('data', (text: string) => {
      if (text.includes('listening')) resolve()
    })
    server.once('close', () => {
      resolve()
    })
  })
}

/** Bytes that a node has sent and received through the tunnel so far. */
export async function bytesThrough(node: RunningNode): Promise<number> {
  const { peers } = await node.client.peers()
  return peers.reduce((sum, { txBytes, rxBytes }) => sum + txBytes + rxBytes, 0)
}
