/**
 * One run: every peer takes a turn in every round, so that whatever disturbs the machine hits all alike.
 * Invariants: one tunnel exists at a time; the order rotates from round to round; nothing outlives the run.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { reasonOf } from '../reason.js'
import { createLab, type Lab } from '#src/cli/demo/lab.js'
import { withDirectory } from '../directory.js'
import { INNER, UNDERLAY, type Pair, type Peer, type Tunnel } from '../peers/peer.js'
import { answersPing, settle } from '../peers/settle.js'
import { judge } from './bars.js'
import { takeTurn, type Stage } from './loads.js'
import { provenance } from '../machine.js'
import { PeerRecord, type Result, type Settings } from './result.js'
import { Patience } from '../steal.js'

interface Contestant {
  readonly peer: Peer
  readonly record: PeerRecord
}

/** `report` is told what happens, one line at a time. */
export async function runThroughput(
  peers: readonly Peer[],
  settings: Settings,
  report: (line: string) => void,
): Promise<Result> {
  const lab = await createLab()
  const origin = await provenance()
  const contestants = await install(peers, report)
  const present = contestants.filter(({ record }) => record.available)
  await withDirectory(async (directory) => {
    try {
      const pair = await joined(lab)
      const patience = new Patience(settings.patienceSeconds)
      for (let round = 0; round < settings.rounds; round++) {
        for (const contestant of rotate(present, round)) {
          const own = join(directory, `${contestant.peer.name}-${round}`)
          await mkdir(own, { mode: 0o700 })
          const label = `round ${round + 1}/${settings.rounds} ${contestant.peer.name}`
          const stage = { pair: { ...pair, directory: own }, durations: settings, patience }
          await playRound(contestant, stage, round, (load) => {
            report(`${label}: ${load}`)
          })
        }
      }
    } finally {
      await lab.close()
    }
  })
  const results = contestants.map(({ record }) => record.finish())
  return {
    schema: 1,
    bench: 'throughput',
    provenance: origin,
    settings,
    peers: results,
    bars: judge(results),
  }
}

/** Two hosts on one wire. */
async function joined(lab: Lab): Promise<Omit<Pair, 'directory'>> {
  const [a, b] = [await lab.namespace('a'), await lab.namespace('b')]
  await lab.veth(a, b, {
    addressA: `${UNDERLAY.a}/${UNDERLAY.prefix}`,
    addressB: `${UNDERLAY.b}/${UNDERLAY.prefix}`,
    mtu: UNDERLAY.mtu,
  })
  return { a, b }
}

async function install(
  peers: readonly Peer[],
  report: (line: string) => void,
): Promise<Contestant[]> {
  const contestants: Contestant[] = []
  for (const peer of peers) {
    report(`${peer.name}: looking for it, building it if need be`)
    const record = new PeerRecord(peer.name)
    try {
      record.version = await peer.install()
    } catch (error) {
      record.cannotRun(reasonOf(error))
    }
    contestants.push({ peer, record })
  }
  return contestants
}

/** What an agent still does after its first answer (ours joins the mesh) is its start, not its idleness. */
const START_MS = 5_000

async function playRound(
  { peer, record }: Contestant,
  stage: Omit<Stage, 'tunnel'>,
  round: number,
  report: (load: string) => void,
): Promise<void> {
  let tunnel: Tunnel
  try {
    report('start')
    tunnel = await peer.start(stage.pair)
  } catch (error) {
    record.failedToStart(round, reasonOf(error))
    return
  }
  try {
    await settle('an answered ping', tunnel.agents, () => answersPing(stage.pair.a, INNER.b))
    await delay(START_MS)
    if (tunnel.describe !== undefined) record.agent ??= await tunnel.describe()
    record.turn(round, await takeTurn({ ...stage, tunnel }, report))
  } catch (error) {
    record.failedToStart(round, reasonOf(error))
  } finally {
    await tunnel.stop()
  }
}

function rotate<T>(items: readonly T[], by: number): T[] {
  const start = items.length === 0 ? 0 : by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}
