/**
 * `whalescale demo`: two agents with real TUN devices in two network namespaces of this machine, a
 * ping, one TCP flow each way, a table. Whatever happens, namespaces, processes and files go again.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ExitCode } from '../../errors.js'
import { schemaVersion } from '../../node/views.js'
import { measured, table } from '../format.js'
import { print, printJson } from '../target.js'
import { createLab } from './lab.js'
import type { Lab } from './lab.js'
import { bytesThrough, roundTripMs, transfer } from './measure.js'
import type { Transfer } from './measure.js'
import { makeKey, startNode, writeConfig } from './nodes.js'
import type { RunningNode } from './nodes.js'
import { progress } from './progress.js'
import type { Progress } from './progress.js'
import { requireTools } from './tools.js'

type Options = { readonly seconds: number; readonly json: boolean }

type Result = {
  handshakeMs: number | null
  rttMs: number | null
  aead: string
  aToB: Transfer
  bToA: Transfer
}

/** Two namespaces on one wire, an agent in each, knowing the other. */
async function startNodes(lab: Lab, directory: string): Promise<[RunningNode, RunningNode]> {
  const [left, right] = [await lab.namespace('a'), await lab.namespace('b')]
  await lab.veth(left, right, { addressA: '10.77.0.1/24', addressB: '10.77.0.2/24' })
  const listenPort = 51820
  const a = makeKey(directory, {
    name: 'a',
    namespace: left,
    address: '10.88.0.1/24',
    endpoints: [`10.77.0.1:${listenPort}`],
    listenPort,
  })
  const b = makeKey(directory, {
    name: 'b',
    namespace: right,
    address: '10.88.0.2/24',
    endpoints: [`10.77.0.2:${listenPort}`],
    listenPort,
  })
  await Promise.all([writeConfig(directory, a, [b]), writeConfig(directory, b, [a])])
  return Promise.all([startNode(a), startNode(b)])
}

async function measure(
  a: RunningNode,
  b: RunningNode,
  seconds: number,
  show: Progress,
): Promise<Result> {
  show.step('handshake')
  const first = await a.client.ping('b')
  show.done(`answered by the ${first.kind} path in ${measured(first.rttMs, 'ms', 2)}`)
  // Whoever began the handshake knows how long it took.
  const [atA, atB] = await Promise.all([a.client.peers(), b.client.peers()])
  const handshakeMs = atA.peers[0]?.handshakeMs ?? atB.peers[0]?.handshakeMs ?? null
  show.step('ping')
  const rttMs = await roundTripMs(a.namespace, '10.88.0.2')
  show.done(measured(rttMs, 'ms', 3))
  const flow = async (from: RunningNode, to: RunningNode): Promise<Transfer> => {
    show.step(`one TCP flow, ${from.name} to ${to.name}`)
    const stop = show.rate(() => bytesThrough(from), seconds)
    try {
      const result = await transfer(from, to, seconds)
      show.done(measured(result.gbps, 'Gbit/s', 2))
      return result
    } finally {
      stop()
    }
  }
  const aToB = await flow(a, b)
  const bToA = await flow(b, a)
  const { aead } = await a.client.status()
  return { handshakeMs, rttMs, aead, aToB, bToA }
}

function closingTable({ handshakeMs, rttMs, aead, aToB, bToA }: Result): string {
  return table(
    ['figure', 'value'],
    [
      ['handshake', measured(handshakeMs, 'ms', 2)],
      ['round trip, idle', measured(rttMs, 'ms', 3)],
      ['one TCP flow, a to b', measured(aToB.gbps, 'Gbit/s', 2)],
      ['one TCP flow, b to a', measured(bToA.gbps, 'Gbit/s', 2)],
      ['CPU of both agents, a to b', measured(aToB.cpuSecondsPerGb, 's/GB', 2)],
      ['CPU of both agents, b to a', measured(bToA.cpuSecondsPerGb, 's/GB', 2)],
      ['cipher', `ChaCha20-Poly1305 by ${aead}`],
    ],
  )
}

export async function demo({ seconds, json }: Options): Promise<ExitCode> {
  requireTools({ ip: 'iproute2', ping: 'iputils-ping', iperf3: 'iperf3' })
  const lab = await createLab()
  const directory = await mkdtemp(join(tmpdir(), 'whalescale-demo-'))
  const show = progress(json ? undefined : process.stdout)
  try {
    show.step('two namespaces, keys, configurations, two agents')
    const [a, b] = await startNodes(lab, directory)
    show.done('up')
    const result = await measure(a, b, seconds, show)
    if (json) printJson({ schema: schemaVersion, ...result })
    else print(`\n${closingTable(result)}`)
    return ExitCode.ok
  } finally {
    await lab.close()
    await rm(directory, { recursive: true, force: true })
  }
}
