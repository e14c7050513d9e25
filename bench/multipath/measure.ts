/**
 * One run of each kind: traffic, what happens to the links meanwhile, and the figures of it.
 * Invariant: times of link changes are taken just before the emulator is told, so no figure gains by its latency.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { WhalescaleError } from '#src/errors.js'
import { percentile } from '../statistics.js'
import { gapAt, longestGap, rate, secondsUntilHeld, series } from './arrivals.js'
import { now } from './clock.js'
import type { Emulator } from '#src/cli/demo/emulator.js'
import type { Figures } from './figure.js'
import { bulk, constantRate, requests, type Arrivals, type Route } from './flows.js'
import type { Kind, Scenario } from './scenario.js'
import { device } from '#src/cli/demo/emulator.js'

export interface Durations {
  /** Before anything counts: slow start, and the agent getting to know its paths. */
  readonly warmUpSeconds: number
  /** What counts of a goodput or RPC run. */
  readonly loadSeconds: number
  /** How long a cut link stays silent before it returns. */
  readonly silentSeconds: number
  /** What is watched after a cut. */
  readonly afterCutSeconds: number
  /** What is watched after a return, by TCP and by UDP. */
  readonly afterReturnSeconds: number
  readonly afterUdpReturnSeconds: number
}

export interface Stage {
  readonly scenario: Scenario
  readonly durations: Durations
  /** Which run it is. */
  readonly seed: number
  readonly route: Route
  readonly emulator: Emulator
  /** Goodput of each link alone, Mbit/s; empty where nothing is compared with it. */
  readonly alone: readonly number[]
}

/** Goodput over time around a change of the links. */
export interface Course {
  readonly stepMs: number
  readonly mbit: readonly number[]
  /** Seconds since the first byte. */
  readonly cutAt: number
  readonly returnAt: number | null
}

export interface Measured {
  readonly figures: Figures
  readonly course?: Course
}

export const MEASURES: Readonly<Record<Kind, (stage: Stage) => Promise<Measured>>> = {
  goodput,
  cut,
  return: recover,
  udpCut,
  udpReturn,
  rpc,
}

/** How much later each run cuts than the one before, up to a second. */
const CUT_STEP_MS = 170
/** A pause that begins later is no longer the failover's, but what the flow itself does about the lower rate. */
const FAILOVER_MS = 500
const COURSE_STEP_MS = 100
/** The full rate is back when every second of the three that follow has nine tenths of it. */
const RECOVERED = 0.9
const RECOVERY = { windowMs: 1_000, heldMs: 3_000 } as const
/** Of the sum of the paths alone, in payload: what a link carries of UDP and TCP differs by some percent. */
const UDP_LOAD = 0.95

const total = (rates: readonly number[]): number => rates.reduce((sum, rate) => sum + rate, 0)

async function goodput({ durations, route, alone }: Stage): Promise<Measured> {
  const { warmUpSeconds, loadSeconds } = durations
  const arrivals = await bulk(route, warmUpSeconds + loadSeconds)
  const from = begin(arrivals) + warmUpSeconds * 1000
  const mbit = rate(arrivals, from, from + loadSeconds * 1000)
  const best = Math.max(...alone)
  const compared = alone.length > 0 && { ofSum: mbit / total(alone), ofBest: mbit / best }
  return { figures: { goodput: mbit, ...compared } }
}

/** Seconds; every run of a scenario meets the flow at another moment. */
function cutAfter({ durations: { warmUpSeconds }, seed }: Stage): number {
  return warmUpSeconds + (((seed - 1) * CUT_STEP_MS) % 1000) / 1000
}

/** Begins or ends the silence of the victim; returns when. */
async function silence({ scenario, emulator }: Stage, state: 'on' | 'off'): Promise<number> {
  const { victim = 0, direction } = scenario
  const which = direction === undefined ? device(victim) : `${device(victim)} ${direction}`
  const at = now()
  await emulator.command(`${which} blackhole ${state}`)
  return at
}

const survivors = ({ scenario, alone }: Stage): number =>
  total(alone.filter((_, i) => i !== scenario.victim))

async function cut(stage: Stage): Promise<Measured> {
  const { afterCutSeconds } = stage.durations
  let cutAt = 0
  const seconds = cutAfter(stage) + afterCutSeconds
  const arrivals = await bulk(stage.route, seconds, async () => {
    await delay(cutAfter(stage) * 1000)
    cutAt = await silence(stage, 'on')
  })
  const to = begin(arrivals) + seconds * 1000
  const after = rate(arrivals, cutAt + (to - cutAt) / 2, to)
  return {
    figures: {
      failover: gapAt(arrivals, cutAt, FAILOVER_MS),
      gap: longestGap(arrivals, cutAt, to),
      after,
      ofSurvivor: after / survivors(stage),
    },
    course: course(arrivals, to, cutAt, null),
  }
}

async function recover(stage: Stage): Promise<Measured> {
  const { silentSeconds, afterReturnSeconds } = stage.durations
  const times = { cut: 0, back: 0 }
  const seconds = cutAfter(stage) + silentSeconds + afterReturnSeconds
  const arrivals = await bulk(stage.route, seconds, () => cutAndReturn(stage, times))
  const to = begin(arrivals) + seconds * 1000
  return recovered(stage, arrivals, times, to)
}

function recovered(
  { alone }: Stage,
  arrivals: Arrivals,
  times: { cut: number; back: number },
  to: number,
): Measured {
  const full = { from: times.back, to, mbit: RECOVERED * total(alone) }
  return {
    figures: { recovery: secondsUntilHeld(arrivals, { ...full, ...RECOVERY }) },
    course: course(arrivals, to, times.cut, times.back),
  }
}

async function cutAndReturn(stage: Stage, times: { cut: number; back: number }): Promise<void> {
  const { silentSeconds } = stage.durations
  await delay(cutAfter(stage) * 1000)
  times.cut = await silence(stage, 'on')
  await delay(silentSeconds * 1000)
  times.back = await silence(stage, 'off')
}

async function udpCut(stage: Stage): Promise<Measured> {
  const { afterCutSeconds } = stage.durations
  let cutAt = 0
  const seconds = cutAfter(stage) + afterCutSeconds
  const load = stage.scenario.udpMbit ?? UDP_LOAD * survivors(stage)
  const arrivals = await constantRate(stage.route, seconds, load, async () => {
    await delay(cutAfter(stage) * 1000)
    cutAt = await silence(stage, 'on')
  })
  const to = begin(arrivals) + seconds * 1000
  const { p99 } = arrivals.delayMs
  return {
    figures: {
      failover: gapAt(arrivals, cutAt, FAILOVER_MS),
      gap: longestGap(arrivals, cutAt, to),
      lost: arrivals.sent - arrivals.received,
      ...(p99 !== null && { delayP99: p99 }),
    },
    course: course(arrivals, to, cutAt, null),
  }
}

async function udpReturn(stage: Stage): Promise<Measured> {
  const { silentSeconds, afterUdpReturnSeconds } = stage.durations
  const times = { cut: 0, back: 0 }
  const seconds = cutAfter(stage) + silentSeconds + afterUdpReturnSeconds
  const load = stage.scenario.udpMbit ?? UDP_LOAD * total(stage.alone)
  const arrivals = await constantRate(stage.route, seconds, load, () => cutAndReturn(stage, times))
  const to = begin(arrivals) + seconds * 1000
  return recovered(stage, arrivals, times, to)
}

async function rpc({ durations, route }: Stage): Promise<Measured> {
  const { warmUpSeconds, loadSeconds } = durations
  let times: readonly number[] = []
  // The requests end first: the last of them still meet the bulk flow.
  const seconds = warmUpSeconds + loadSeconds + 1
  const arrivals = await bulk(route, seconds, async () => {
    await delay(warmUpSeconds * 1000)
    times = (await requests(route, loadSeconds - 0.5)).times
  })
  const from = begin(arrivals) + warmUpSeconds * 1000
  return {
    figures: {
      goodput: rate(arrivals, from, from + loadSeconds * 1000),
      rpcP50: percentile(times, 50),
      rpcP99: percentile(times, 99),
    },
  }
}

function begin(arrivals: Arrivals): number {
  if (arrivals.start === 0) {
    throw new WhalescaleError('nothing arrived', { code: 'UnexpectedOutput' })
  }
  return arrivals.start
}

function course(arrivals: Arrivals, to: number, cut: number, back: number | null): Course {
  const seconds = (at: number): number => Math.round(at - arrivals.start) / 1000
  return {
    stepMs: COURSE_STEP_MS,
    mbit: series(arrivals, COURSE_STEP_MS, to),
    cutAt: seconds(cut),
    returnAt: back === null ? null : seconds(back),
  }
}
