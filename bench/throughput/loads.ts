/**
 * The loads of one turn, in order. Each yields figures, or fails alone: the others still run.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { reasonOf } from '../reason.js'
import { INNER, type Pair, type Tunnel } from '../peers/peer.js'
import { cpuSeconds, peakMegabytes, scheduledSeconds } from './accounting.js'
import { tcp, udp, type Flow, type Received } from './iperf.js'
import type { Figures } from './metric.js'
import { ping } from './ping.js'
import { startUpTimes } from './start-up.js'
import type { Patience } from '../steal.js'
import { percentile } from '../statistics.js'

interface Durations {
  /** Of each bulk load. */
  readonly loadSeconds: number
  readonly idlePingSeconds: number
  /** Before idle CPU is measured: agents with a garbage collector tidy up after their start for some 20 s. */
  readonly quietSeconds: number
  readonly idleCpuSeconds: number
  readonly startUpTries: number
}

export interface Turn {
  readonly figures: Figures
  readonly failures: readonly { readonly load: string; readonly reason: string }[]
}

export interface Stage {
  readonly pair: Pair
  readonly tunnel: Tunnel
  readonly durations: Durations
  readonly patience: Patience
}

type Load = (stage: Stage) => Promise<Figures>

/** Idle first, while nothing has been queued; memory last before the restarts, when every load has passed. */
const LOADS: Readonly<Record<string, Load>> = {
  'idle ping': idlePing,
  'idle CPU': idleCpu,
  'one TCP flow': oneFlow,
  'four TCP flows': fourFlows,
  'both directions': bothWays,
  'UDP 64 B': async (stage) => ({ udp64: await kilopackets(stage, 64) }),
  'UDP 1300 B': async (stage) => ({ udp1300: await kilopackets(stage, 1300) }),
  'ping under load': loadedPing,
  memory,
  'start-up': startUp,
}

export async function takeTurn(stage: Stage, report: (load: string) => void): Promise<Turn> {
  const figures: Figures = {}
  const failures: { load: string; reason: string }[] = []
  for (const [load, measure] of Object.entries(LOADS)) {
    report(load)
    try {
      const { value, stolen } = await stage.patience.undisturbed(() => measure(stage))
      Object.assign(figures, value, { stolen: Math.max(figures.stolen ?? 0, stolen) })
    } catch (error) {
      failures.push({ load, reason: reasonOf(error) })
    }
  }
  return { figures, failures }
}

async function idlePing({ pair, durations }: Stage): Promise<Figures> {
  const times = await ping(pair.a, INNER.b, durations.idlePingSeconds)
  return { pingIdle: times.mean, pingIdleP50: times.p50, pingIdleP99: times.p99 }
}

/** The busier of the two agents. */
async function idleCpu({ tunnel, durations }: Stage): Promise<Figures> {
  if (tunnel.agents.length === 0) return {}
  await delay(durations.quietSeconds * 1000)
  const before = await Promise.all(tunnel.agents.map(scheduledSeconds))
  const began = performance.now()
  await delay(durations.idleCpuSeconds * 1000)
  const after = await Promise.all(tunnel.agents.map(scheduledSeconds))
  const elapsed = (performance.now() - began) / 1000
  return {
    idleCpu: Math.max(...after.map((seconds, i) => ((seconds - (before[i] ?? 0)) / elapsed) * 100)),
  }
}

async function oneFlow(stage: Stage): Promise<Figures> {
  const { agents } = stage.tunnel
  const before = await cpuSeconds(agents)
  const got = await tcp(forward(stage), 1)
  const used = (await cpuSeconds(agents)) - before
  return { tcpOne: gigabits(got), ...(agents.length > 0 && { cpuPerGB: used / (got.bytes / 1e9) }) }
}

async function fourFlows(stage: Stage): Promise<Figures> {
  return { tcpFour: gigabits(await tcp(forward(stage), 4)) }
}

/** Two independent iperf3 pairs, because one iperf3 process would carry both directions on one thread. */
async function bothWays(stage: Stage): Promise<Figures> {
  const ways = await Promise.all([tcp(forward(stage), 1), tcp(backward(stage), 1)])
  return { bothWays: ways.reduce((sum, way) => sum + gigabits(way), 0) / ways.length }
}

async function kilopackets(stage: Stage, length: number): Promise<number> {
  const got = await udp(forward(stage), length)
  return got.bytes / length / got.seconds / 1000
}

async function loadedPing(stage: Stage): Promise<Figures> {
  const { pair, durations } = stage
  const bulk = tcp(forward(stage), 1)
  const measured = (async () => {
    await delay(RAMP_MS)
    return ping(pair.a, INNER.b, durations.loadSeconds - (2 * RAMP_MS) / 1000)
  })()
  const [times] = await Promise.all([measured, bulk])
  return { pingLoaded: times.mean, pingLoadedP50: times.p50, pingLoadedP99: times.p99 }
}

/** Slow start is over, and the bulk flow still runs when the last reply comes. */
const RAMP_MS = 500

async function memory({ tunnel }: Stage): Promise<Figures> {
  if (tunnel.agents.length === 0) return {}
  return { rss: Math.max(...(await Promise.all(tunnel.agents.map(peakMegabytes)))) }
}

async function startUp({ pair, tunnel, durations }: Stage): Promise<Figures> {
  if (tunnel.restart === undefined) return {}
  return {
    startUp: percentile(await startUpTimes(pair, tunnel.restart, durations.startUpTries), 50),
  }
}

const FORWARD_PORT = 5201
const BACKWARD_PORT = 5202

function forward({ pair, durations }: Stage): Flow {
  return {
    from: pair.a,
    to: pair.b,
    address: INNER.b,
    port: FORWARD_PORT,
    seconds: durations.loadSeconds,
  }
}

function backward({ pair, durations }: Stage): Flow {
  return {
    from: pair.b,
    to: pair.a,
    address: INNER.a,
    port: BACKWARD_PORT,
    seconds: durations.loadSeconds,
  }
}

function gigabits({ bytes, seconds }: Received): number {
  return (bytes * 8) / seconds / 1e9
}
