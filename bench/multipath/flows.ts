/**
 * Traffic between the two hosts, by processes of traffic.ts, and what its receivers saw.
 * Invariant: every process started here has ended, or was stopped, when the promise settles.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import type { LabProcess, Namespace } from '#src/cli/demo/lab.js'
import { WhalescaleError } from '#src/errors.js'
import { settle } from '../peers/settle.js'

/** When bytes reached a receiver; times are milliseconds of the machine's monotonic clock. */
export interface Arrivals {
  /** Of the first byte; 0 when none came. */
  readonly start: number
  readonly end: number
  readonly binMs: number
  /** Bytes per bin since `start`. */
  readonly bins: readonly number[]
  /** Pauses worth noting; the last one reaches to `end`. */
  readonly gaps: readonly (readonly [at: number, length: number])[]
}

export interface UdpReport extends Arrivals {
  /** Distinct datagrams. */
  readonly received: number
  readonly duplicates: number
  /** Came after one that was sent later. */
  readonly late: number
  readonly delayMs: {
    readonly p50: number | null
    readonly p99: number | null
    readonly max: number | null
  }
}

export interface RpcReport {
  /** Milliseconds from request to the whole answer. */
  readonly times: readonly number[]
}

/** Where traffic goes, and how its programs are run. */
export interface Route {
  readonly a: Namespace
  readonly b: Namespace
  /** Of B, as A sees it. */
  readonly address: string
  /** Before the program, such as `mptcpize run`. */
  readonly wrapper: readonly string[]
}

const PROGRAM = fileURLToPath(new URL('./traffic.js', import.meta.url))
const BULK_PORT = 5201
const RPC_PORT = 5202
/** What is under way when the sender ends still counts. */
const DRAIN_MS = 1_000
/** Beyond the traffic's own time: connecting over a lossy path. */
const PATIENCE_MS = 15_000

/** One TCP flow from A to B for `seconds`; `meanwhile` runs beside it from its start. */
export async function bulk(
  route: Route,
  seconds: number,
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<Arrivals> {
  const roles = { sink: 'sink', source: 'source', port: BULK_PORT }
  const { received } = await transfer(route, roles, [String(seconds)], seconds, meanwhile)
  return JSON.parse(received) as Arrivals
}

/** Datagrams from A to B at `mbit` Mbit/s of payload. */
export async function constantRate(
  route: Route,
  seconds: number,
  mbit: number,
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<UdpReport & { readonly sent: number }> {
  const roles = { sink: 'udp-sink', source: 'udp-source', port: BULK_PORT }
  const args = [String(seconds), String(mbit)]
  const reports = await transfer(route, roles, args, seconds, meanwhile)
  const { sent } = JSON.parse(reports.sent) as { sent: number }
  return { ...(JSON.parse(reports.received) as UdpReport), sent }
}

/** 1 KB requests and answers, one after the other. */
export async function requests(route: Route, seconds: number): Promise<RpcReport> {
  const server = start(route, 'b', ['echo', String(RPC_PORT)])
  try {
    await listening(server)
    const client = start(route, 'a', ['rpc', route.address, String(RPC_PORT), String(seconds)])
    await ended(client, seconds)
    return JSON.parse(lastLine(client)) as RpcReport
  } finally {
    await server.stop()
  }
}

/** What both ends said at their end, as JSON. */
async function transfer(
  route: Route,
  { sink, source, port }: { sink: string; source: string; port: number },
  args: readonly string[],
  seconds: number,
  meanwhile: () => Promise<void>,
): Promise<{ sent: string; received: string }> {
  const receiver = start(route, 'b', [sink, String(port)])
  try {
    await listening(receiver)
    const sender = start(route, 'a', [source, route.address, String(port), ...args])
    await Promise.all([meanwhile(), ended(sender, seconds)])
    await delay(DRAIN_MS)
    await receiver.stop()
    return { sent: lastLine(sender), received: lastLine(receiver) }
  } finally {
    await receiver.stop()
  }
}

function start(route: Route, side: 'a' | 'b', args: readonly string[]): LabProcess {
  return route[side].spawn('env', [...route.wrapper, process.execPath, PROGRAM, ...args])
}

function listening(process: LabProcess): Promise<void> {
  const isReady = (): boolean => process.output().stdout.includes('ready')
  return settle('the receiver', [process], () => Promise.resolve(isReady()))
}

async function ended(process: LabProcess, seconds: number): Promise<void> {
  const patience = AbortSignal.timeout(seconds * 1000 + PATIENCE_MS)
  const expired = new Promise<'expired'>((resolve) => {
    patience.addEventListener('abort', () => {
      resolve('expired')
    })
  })
  const result = await Promise.race([process.exited, expired])
  if (result === 'expired') {
    await process.stop()
    throw unexpected('a sender found nobody to talk to')
  }
}

function lastLine(process: LabProcess): string {
  const { stdout, stderr } = process.output()
  const line = stdout.trim().split('\n').at(-1) ?? ''
  if (!line.startsWith('{')) throw unexpected(stderr.trim() || 'traffic without a report')
  return line
}

function unexpected(message: string): WhalescaleError {
  return new WhalescaleError(message, { code: 'UnexpectedOutput' })
}
