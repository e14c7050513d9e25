/** Several nodes on one network, each of which knows every key and one anchor's address only. */
import type { Namespace } from '#src/cli/demo/lab.js'
import type { Agent, NodeFiles } from './agent.js'
import { configure, makeNode, peerOf, up } from './agent.js'
import type { Bed } from './bed.js'
import { until } from './bed.js'

/** The interface of every node. */
const device = 'lan0'

export const addressOf = (index: number): string => `192.0.2.${index + 1}`
export const overlayOf = (index: number): string => `10.88.0.${index + 1}`
export const nameOf = (index: number): string => `n${index}`

export type Lan = {
  readonly namespaces: readonly Namespace[]
  /** Gives a node another address, as a change of network does. */
  move(index: number, address: string): Promise<void>
}

/** Namespaces joined by a bridge in one more. */
export async function makeLan(bed: Bed, count: number): Promise<Lan> {
  const hub = await bed.namespace('hub')
  await hub.exec('ip', ['link', 'add', 'br0', 'type', 'bridge'])
  await hub.exec('ip', ['link', 'set', 'br0', 'up'])
  const namespaces: Namespace[] = []
  for (let index = 0; index < count; index += 1) {
    const node = await bed.namespace('n')
    const port = `port${index}`
    const far = ['peer', 'name', port, 'netns', hub.name]
    await node.exec('ip', ['link', 'add', device, 'type', 'veth', ...far])
    await hub.exec('ip', ['link', 'set', port, 'master', 'br0', 'up'])
    await node.exec('ip', ['address', 'add', `${addressOf(index)}/24`, 'dev', device])
    await node.exec('ip', ['link', 'set', device, 'up'])
    namespaces.push(node)
  }
  const move: Lan['move'] = async (index, address) => {
    const node = namespaces[index]
    await node?.exec('ip', ['address', 'flush', 'dev', device, 'scope', 'global'])
    await node?.exec('ip', ['address', 'add', `${address}/24`, 'dev', device])
  }
  return { namespaces, move }
}

/** Keys and configurations of all; the first `anchors` nodes are anchors, and all know the first. */
export async function configureMesh(bed: Bed, lan: Lan, anchors = 1): Promise<NodeFiles[]> {
  const files: NodeFiles[] = []
  for (const [index, namespace] of lan.namespaces.entries()) {
    files.push(await makeNode(bed, namespace, nameOf(index)))
  }
  for (const [own, node] of files.entries()) {
    const peers = files.flatMap(({ identity }, index) =>
      index === own
        ? []
        : [
            {
              name: nameOf(index),
              nodeId: identity.nodeId,
              endpoints: index === 0 ? [`${addressOf(0)}:51820`] : [],
              allowedIps: [`${overlayOf(index)}/32`],
              anchor: index < anchors,
            },
          ],
    )
    configure(node, { addresses: [`${overlayOf(own)}/24`], anchor: own < anchors, peers })
  }
  return files
}

/** Starts all at once. */
export function upAll(files: readonly NodeFiles[]): Promise<Agent[]> {
  return Promise.all(files.map((node) => up(node)))
}

/** Whether a node has every other's own word of where it is. */
async function knowsAll(agent: Agent, others: readonly number[]): Promise<boolean> {
  const { peers } = await agent.client.peers()
  return others.every((index) =>
    peers
      .find(({ name }) => name === nameOf(index))
      ?.mesh?.endpoints.includes(`${addressOf(index)}:51820`),
  )
}

/** Waits until every node knows every other's address. */
export async function converged(agents: readonly Agent[], patienceMs: number): Promise<void> {
  const all = agents.map(({ name }) => Number(name.slice(1)))
  for (const agent of agents) {
    const others = all.filter((index) => nameOf(index) !== agent.name)
    await until(`${agent.name} knows all`, () => knowsAll(agent, others), patienceMs)
  }
}

/** Waits until `agent` holds `peer` in a state of the mesh. */
export async function sees(
  agent: Agent,
  peer: string,
  state: string,
  patienceMs: number,
): Promise<void> {
  await until(
    `${agent.name} sees ${peer} ${state}`,
    async () => (await peerOf(agent, peer)).mesh?.state === state,
    patienceMs,
  )
}

/** Waits until one packet out of a node's namespace is answered. */
export async function answers(from: Agent, address: string, patienceMs: number): Promise<void> {
  const seconds = Math.ceil(patienceMs / 1000)
  const pace = ['-n', '-q', '-c', '1', '-i', '0.05', '-w', String(seconds), address]
  await from.namespace.exec('ping', pace)
}
