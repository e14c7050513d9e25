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
  end?: { sum_received?: { bytes: number; bits_per_second: number } }
  error?: string
}

/** One TCP flow (cubic) between two nodes, `to` being the server; the agents' CPU is that of both. */
export async function transfer(
  from: RunningNode,
  to: RunningNode,
  seconds: number,
): Promise<Transfer> {
  const address = to.address.split('/')[0] ?? ''
  const server = to.namespace.spawn('iperf3', ['-s', '-1', '-B', address, '--forceflush'])
  await listening(server.child)
  const used = (): number => cpuSeconds(from.process.pid) + cpuSeconds(to.process.pid)
  const before = used()
  const limits = ['-t', String(seconds), '-C', 'cubic', '--connect-timeout', '5000']
  const { stdout } = await from.namespace.exec('iperf3', ['-c', address, ...limits, '-J'])
  const cpu = used() - before
  await server.stop()
  const report = JSON.parse(stdout) as Report
  const received = report.end?.sum_received
  if (received === undefined) {
    throw new WhalescaleError(`iperf3: ${report.error ?? 'no result'}`, { code: 'IperfFailed' })
  }
  return { gbps: received.bits_per_second / 1e9, cpuSecondsPerGb: (cpu * 1e9) / received.bytes }
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
