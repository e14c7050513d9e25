/**
 * How long real agents take: to know all of each other, to see one die, to follow one that moves, to
 * start with every anchor dead. Times are those of the agents' own events, or of answered packets.
 */
import { up } from '../../test/bed/agent.js'
import type { Agent, NodeFiles } from '../../test/bed/agent.js'
import { until } from '../../test/bed/bed.js'
import type { Bed } from '../../test/bed/bed.js'
import {
  addressOf,
  answers,
  configureMesh,
  converged,
  makeLan,
  nameOf,
  overlayOf,
} from '../../test/bed/mesh.js'
import type { Lan } from '../../test/bed/mesh.js'

/** Longer than any bar; beyond it a step has failed. */
const patienceMs = 60_000

export type Figure = { readonly name: string; readonly barMs: number; readonly ms: number }

type Network = { readonly lan: Lan; readonly files: readonly NodeFiles[]; agents: Agent[] }

/** Follows an agent until its events have told what `seen` waits for; resolves to that moment. */
async function moment(
  agent: Agent,
  seen: (event: Parameters<Parameters<Agent['client']['follow']>[0]>[0]) => boolean,
): Promise<number> {
  let at: number | undefined
  const stream = await agent.client.follow((event) => {
    if (at === undefined && seen(event)) at = Date.parse(event.time)
  })
  try {
    await until(`${agent.name} tells it`, () => at, patienceMs)
    return at ?? NaN
  } finally {
    stream.close()
  }
}

/** When a node has every other's own word of its address. */
function knowsAllAt(agent: Agent, count: number): Promise<number> {
  const missing = new Set(
    Array.from({ length: count }, (_, index) => index).filter(
      (index) => nameOf(index) !== agent.name,
    ),
  )
  return moment(agent, (event) => {
    if (event.type !== 'endpoints') return false
    const index = Number(event.peer.slice(1))
    const told = event.endpoints.some(
      ({ endpoint, source }) =>
        source === 'self-attested' && endpoint === `${addressOf(index)}:51820`,
    )
    if (told) missing.delete(index)
    return missing.size === 0
  })
}

/** All but one run already; from the start of the last until all know all. */
async function joining(network: Network): Promise<number> {
  const { files } = network
  const last = files.at(-1)
  if (last === undefined) throw new Error('there is no node')
  for (const node of files.slice(0, -1)) network.agents.push(await up(node))
  await converged(network.agents, patienceMs)
  const startedAt = Date.now()
  network.agents.push(await up(last))
  const known = await Promise.all(network.agents.map((agent) => knowsAllAt(agent, files.length)))
  return Math.max(...known) - startedAt
}

/** From the change of one node's address until every other's packets to it are answered. */
async function moving({ lan, agents }: Network): Promise<number> {
  const mover = agents.length - 2
  const others = agents.filter((_, index) => index !== mover)
  await Promise.all(others.map((agent) => answers(agent, overlayOf(mover), patienceMs)))
  await lan.move(mover, `192.0.2.${mover + 101}`)
  const movedAt = Date.now()
  await Promise.all(others.map((agent) => answers(agent, overlayOf(mover), patienceMs)))
  return Date.now() - movedAt
}

/** From kill -9 of one node until it is gone at every other. */
async function dying({ agents }: Network): Promise<number> {
  const victim = agents.pop()
  if (victim === undefined) throw new Error('there is no node')
  const gone = agents.map((agent) =>
    moment(
      agent,
      (event) => event.type === 'member' && event.peer === victim.name && event.state === 'gone',
    ),
  )
  const killedAt = Date.now()
  victim.process.child.kill('SIGKILL')
  return Math.max(...(await Promise.all(gone))) - killedAt
}

/** From a start with every anchor dead, by addresses of the cache alone, until a packet is answered. */
async function restarting({ agents }: Network): Promise<number> {
  const [anchor, again, ...others] = agents
  if (anchor === undefined || again === undefined) throw new Error('there is no node')
  await again.process.stop()
  anchor.process.child.kill('SIGKILL')
  await anchor.process.exited
  const startedAt = Date.now()
  const restarted = await up(again)
  await answers(restarted, overlayOf(2), patienceMs)
  const took = Date.now() - startedAt
  agents.splice(0, agents.length, restarted, ...others)
  return took
}

/** Every figure of the network, in the order in which one network can show them. */
export async function measureMesh(
  bed: Bed,
  count: number,
  progress: (line: string) => void,
): Promise<Figure[]> {
  const lan = await makeLan(bed, count)
  const network: Network = { lan, files: await configureMesh(bed, lan), agents: [] }
  const steps = [
    { name: 'all know all, after the last start', barMs: 3_000, step: joining },
    { name: 'traffic of all flows again, after a move', barMs: 2_000, step: moving },
    { name: 'gone at all others, after kill -9', barMs: 8_000, step: dying },
    { name: 'tunnel back from the cache, anchors dead', barMs: 3_000, step: restarting },
  ]
  const figures: Figure[] = []
  for (const { name, barMs, step } of steps) {
    progress(name)
    figures.push({ name, barMs, ms: await step(network) })
  }
  return figures
}
