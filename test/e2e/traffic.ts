/** Loads between two namespaces, each of which tells exactly what arrived. */
import { fileURLToPath } from 'node:url'
import type { LabProcess, Namespace } from '#src/cli/demo/lab.js'
import { finished, until } from '../bed/bed.js'
import type { ExchangeReport } from './programs/exchange.js'
import type { StreamReport } from './programs/stream.js'

const program = (name: string): string =>
  fileURLToPath(new URL(`programs/${name}.js`, import.meta.url))

function node(namespace: Namespace, name: string, args: readonly (string | number)[]): LabProcess {
  return namespace.spawn(process.execPath, [program(name), ...args.map(String)])
}

async function reportOf(running: LabProcess): Promise<string> {
  const { code, stdout, stderr } = await finished(running)
  const report = stdout.trim().split('\n').at(-1) ?? ''
  if (code !== 0 || report === '')
    throw new Error(`traffic ended with ${code ?? 'a signal'}: ${stderr}`)
  return report
}

async function ready(running: LabProcess): Promise<void> {
  await until('the receiver is ready', () => running.output().stdout.includes('ready'))
}

export type Ping = {
  readonly sent: number
  readonly received: number
  /** The numbers of those without an answer, from 1. */
  readonly missing: readonly number[]
  readonly output: string
}

/**
 * `ping` of `count` packets, `intervalMs` apart. With a deadline, ping sends further ones as long as answers are
 * late, as on a busy machine: those do not count.
 */
export async function ping(
  from: Namespace,
  address: string,
  count: number,
  intervalMs: number,
): Promise<Ping> {
  const seconds = Math.ceil((count * intervalMs) / 1000) + 5
  const pace = ['-c', String(count), '-i', String(intervalMs / 1000), '-w', String(seconds)]
  const { stdout } = await finished(from.spawn('ping', ['-n', ...pace, address]))
  const [, transmitted = '0'] = /(\d+) packets transmitted/.exec(stdout) ?? []
  const answered = new Set([...stdout.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, at]) => Number(at)))
  const sent = Math.min(Number(transmitted), count)
  const missing = Array.from({ length: sent }, (_, i) => i + 1).filter((at) => !answered.has(at))
  return { sent, received: sent - missing.length, missing, output: stdout }
}

export type Stream = { readonly sent: StreamReport; readonly received: StreamReport }

/**
 * One TCP connection that carries `bytes` of a pseudo-random stream to `address`.
 * @param megabytesPerSecond at most; 0 is as fast as it goes
 */
export async function stream(
  from: Namespace,
  to: Namespace,
  address: string,
  bytes: number,
  port = 7000,
  megabytesPerSecond = 0,
): Promise<Stream> {
  const sink = node(to, 'stream', ['receive', address, port])
  await ready(sink)
  const source = node(from, 'stream', ['send', address, port, bytes, megabytesPerSecond])
  const [sent, received] = await Promise.all([reportOf(source), reportOf(sink)])
  return {
    sent: JSON.parse(sent) as StreamReport,
    received: JSON.parse(received) as StreamReport,
  }
}

export type ExchangeEnd = { readonly namespace: Namespace; readonly address: string }

export type ExchangePlan = {
  readonly packetsPerSecond: number
  readonly size: number
  readonly seconds: number
}

/** Numbered UDP datagrams both ways at once; what each end sent and what it missed. */
export async function exchange(
  a: ExchangeEnd,
  b: ExchangeEnd,
  { packetsPerSecond, size, seconds }: ExchangePlan,
): Promise<[ExchangeReport, ExchangeReport]> {
  const load = [packetsPerSecond, size, seconds]
  const ends = [
    node(a.namespace, 'exchange', [a.address, b.address, ...load]),
    node(b.namespace, 'exchange', [b.address, a.address, ...load]),
  ]
  const reports = await Promise.all(ends.map(reportOf))
  const [atA, atB] = reports.map((report) => JSON.parse(report) as ExchangeReport)
  if (atA === undefined || atB === undefined) throw new Error('an end of the exchange is missing')
  return [atA, atB]
}
