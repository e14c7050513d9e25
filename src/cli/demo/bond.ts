/**
 * `whalescale demo --bond`: one TCP flow through a tunnel over two emulated links, of which the faster
 * one falls silent for the middle third and comes back. What each link carries is drawn while it
 * happens; a table says what the flow saw. Whatever happens, all that was made goes again.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ExitCode, WhalescaleError } from '../../errors.js'
import type { PathsView } from '../../node/views.js'
import { schemaVersion } from '../../node/views.js'
import { bar, measured, table } from '../format.js'
import { print, printJson } from '../target.js'
import { buildEmulator, device, linkAddress, startEmulator } from './emulator.js'
import type { Emulator, Link } from './emulator.js'
import { createLab } from './lab.js'
import type { Lab } from './lab.js'
import { intervalSeconds, meteredTransfer } from './measure.js'
import type { MeteredTransfer } from './measure.js'
import { makeKey, startNode, writeConfig } from './nodes.js'
import type { RunningNode } from './nodes.js'
import { requireTools } from './tools.js'

type Options = { readonly seconds: number; readonly json: boolean }

/** A good DSL line and a middling phone: rates in Mbit/s, one-way delays and queues in milliseconds. */
const links: readonly Link[] = [
  { rate: 50, delay: 10, queue: 60 },
  { rate: 20, delay: 30, queue: 60 },
]
const victim = device(0)
const listenPort = 51820
/** Probing two paths takes a few round trips. */
const pathsPatienceMs = 10_000
const pollMs = 50
const drawMs = 500
const barWidth = 24

type Part = { name: string; mbps: number; silentS: number }
type Result = { parts: Part[]; tcpRetransmits: number; repaired: number | null }

async function startNodes(
  lab: Lab,
  directory: string,
): Promise<[RunningNode, RunningNode, Emulator]> {
  const [left, right] = [await lab.namespace('a'), await lab.namespace('b')]
  const emulator = await startEmulator(left, right, links, 1)
  const interfaces = links.map((_, index) => device(index))
  const endpoints = (end: 'near' | 'far'): string[] =>
    links.map((_, index) => `${linkAddress(end, index)}:${listenPort}`)
  const common = { listenPort, interfaces }
  const a = makeKey(directory, {
    ...common,
    name: 'a',
    namespace: left,
    address: '10.88.0.1/24',
    endpoints: endpoints('near'),
  })
  const b = makeKey(directory, {
    ...common,
    name: 'b',
    namespace: right,
    address: '10.88.0.2/24',
    endpoints: endpoints('far'),
  })
  await Promise.all([writeConfig(directory, a, [b]), writeConfig(directory, b, [a])])
  return [...(await Promise.all([startNode(a), startNode(b)])), emulator]
}

async function pathsOf(node: RunningNode): Promise<PathsView['peers'][number]['paths']> {
  return (await node.client.paths()).peers[0]?.paths ?? []
}

/** @throws WhalescaleError PathsMissing */
async function bothPaths(a: RunningNode): Promise<void> {
  await a.client.ping('b')
  const deadline = performance.now() + pathsPatienceMs
  while ((await pathsOf(a)).filter(({ state }) => state === 'healthy').length < links.length) {
    if (performance.now() > deadline)
      throw new WhalescaleError('the second path did not come up', { code: 'PathsMissing' })
    await delay(pollMs)
  }
}

/** One line each half second until the returned function is called. */
function draw(a: RunningNode, note: () => string): () => Promise<void> {
  const most = Math.max(...links.map(({ rate }) => rate))
  const startedAt = performance.now()
  const before = new Map<string, number>()
  let at = startedAt
  let ended = false
  // `ended` may have changed while something was awaited.
  const isEnded = (): boolean => ended
  const line = async (): Promise<void> => {
    const paths = await pathsOf(a)
    const now = performance.now()
    const cells = links.map((_, index) => {
      const name = device(index)
      const sent = paths
        .filter((path) => path.interface === name)
        .reduce((sum, { txBytes }) => sum + txBytes, 0)
      const mbps = ((sent - (before.get(name) ?? sent)) * 8) / ((now - at) * 1e3)
      before.set(name, sent)
      return `${name} ${bar(mbps, most, barWidth)} ${mbps.toFixed(1).padStart(5)}`
    })
    at = now
    const seconds = ((now - startedAt) / 1000).toFixed(1).padStart(4)
    print(`${seconds} s  ${cells.join('  ')}  ${note()}`.trimEnd())
  }
  const drawing = (async () => {
    for (;;) {
      await delay(drawMs)
      if (isEnded()) return
      await line()
    }
  })()
  return async () => {
    ended = true
    await drawing
  }
}

/** The flow, the cut and the return beside it. */
async function measure(
  a: RunningNode,
  b: RunningNode,
  emulator: Emulator,
  { seconds, json }: Options,
): Promise<Result> {
  let note = ''
  const stop = json ? () => Promise.resolve() : draw(a, () => note)
  const disturb = async (): Promise<void> => {
    await delay(seconds * 1000)
    await emulator.command(`${victim} blackhole on`)
    note = `${victim} is silent`
    await delay(seconds * 1000)
    await emulator.command(`${victim} blackhole off`)
    note = `${victim} is back`
  }
  const [flow] = await Promise.all([meteredTransfer(a, b, 3 * seconds), disturb()]).finally(stop)
  const { repaired } = (await a.client.paths()).peers[0] ?? { repaired: null }
  const names = ['both links', `${victim} silent`, `${victim} back`]
  const parts = names.map((name, index) => partOf(name, flow, index * seconds, seconds))
  return { parts, tcpRetransmits: flow.retransmits, repaired }
}

function partOf(name: string, flow: MeteredTransfer, from: number, seconds: number): Part {
  const perSecond = Math.round(1 / intervalSeconds)
  const received = flow.mbps.slice(from * perSecond, (from + seconds) * perSecond)
  let silent = 0
  let longest = 0
  for (const rate of received) {
    silent = rate === 0 ? silent + 1 : 0
    longest = Math.max(longest, silent)
  }
  const mbps = received.reduce((sum, rate) => sum + rate, 0) / Math.max(received.length, 1)
  return { name, mbps, silentS: longest * intervalSeconds }
}

function closingTable({ parts, tcpRetransmits, repaired }: Result): string {
  const rows = parts.map(({ name, mbps, silentS }) => [
    name,
    measured(mbps, 'Mbit/s'),
    silentS === 0 ? `< ${intervalSeconds} s` : measured(silentS, 's'),
  ])
  return [
    table(['one TCP flow', 'received', 'longest silence'], rows),
    '',
    `sent again by TCP: ${tcpRetransmits}; by the tunnel: ${repaired ?? '-'}`,
  ].join('\n')
}

export async function bondDemo(options: Options): Promise<ExitCode> {
  requireTools({ ip: 'iproute2', iperf3: 'iperf3', cargo: 'cargo' })
  await buildEmulator()
  const lab = await createLab()
  const directory = await mkdtemp(join(tmpdir(), 'whalescale-demo-'))
  try {
    const [a, b, emulator] = await startNodes(lab, directory)
    await bothPaths(a)
    if (!options.json) {
      const what = links.map(({ rate, delay: ms }, i) => `${device(i)} ${rate} Mbit/s, ${ms} ms`)
      print(`${what.join('; ')}; one TCP flow, Mbit/s sent on each\n`)
    }
    const result = await measure(a, b, emulator, options)
    if (options.json) printJson({ schema: schemaVersion, ...result })
    else print(`\n${closingTable(result)}`)
    return ExitCode.ok
  } finally {
    await lab.close()
    await rm(directory, { recursive: true, force: true })
  }
}
