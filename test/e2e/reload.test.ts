/** `reload` by signal: peers come, change and go while traffic with another one flows. */
import t from 'tap'
import { configure, makeNode, port, up } from '../bed/agent.js'
import type { Agent, NodeFiles } from '../bed/agent.js'
import { makeBed, until } from '../bed/bed.js'
import { addressOf, answers, makeLan, nameOf, overlayOf } from '../bed/mesh.js'
import { unless } from './requirements.js'

const patienceMs = 60_000
const further = '10.99.0.0/16'

const peer = (node: NodeFiles, index: number, more: readonly string[] = []) => ({
  name: nameOf(index),
  nodeId: node.identity.nodeId,
  endpoints: [`${addressOf(index)}:${port}`],
  allowedIps: [`${overlayOf(index)}/32`, ...more],
})

/** Echo requests one after another; tells which of them were answered so far. */
function pingOn(from: Agent, address: string) {
  const running = from.namespace.spawn('ping', ['-n', '-i', '0.02', address])
  const answered = (): number[] =>
    [...running.output().stdout.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number))
  const more = async (): Promise<void> => {
    const before = answered().length
    await until('ten more answers', () => answered().length >= before + 10, patienceMs)
  }
  return { answered, more, stop: () => running.stop() }
}

void t.test(
  'SIGHUP adds, changes and removes peers, and another peer loses no packet',
  { skip: unless(), timeout: 4 * patienceMs },
  async (t) => {
    const bed = await makeBed(t)
    const lan = await makeLan(bed, 5)
    const files: NodeFiles[] = []
    for (const [index, namespace] of lan.namespaces.entries()) {
      files.push(await makeNode(bed, namespace, nameOf(index)))
    }
    const [own, steady, changed, removed, added] = files
    if (!own || !steady || !changed || !removed || !added) return
    for (const [index, node] of files.entries()) {
      if (index > 0)
        configure(node, { addresses: [`${overlayOf(index)}/24`], peers: [peer(own, 0)] })
    }
    const addresses = [`${overlayOf(0)}/24`]
    const before = [peer(steady, 1), peer(changed, 2), peer(removed, 3)]
    configure(own, { addresses, peers: before })
    const [agent] = await Promise.all(files.map((node) => up(node)))
    if (agent === undefined) return
    for (const index of [1, 2, 3]) await answers(agent, overlayOf(index), patienceMs)

    const traffic = pingOn(agent, overlayOf(1))
    await traffic.more()
    configure(own, {
      addresses,
      peers: [before[0], peer(changed, 2, [further]), peer(added, 4)].flatMap((one) => one ?? []),
    })
    agent.process.child.kill('SIGHUP')
    await until(
      'the added peer is known',
      async () => (await agent.client.peers()).peers.some(({ name }) => name === nameOf(4)),
      patienceMs,
    )
    await answers(agent, overlayOf(4), patienceMs)
    await answers(agent, overlayOf(2), patienceMs)
    await traffic.more()
    await traffic.stop()

    const { peers } = await agent.client.peers()
    t.same(
      peers.map(({ name }) => name),
      [nameOf(1), nameOf(2), nameOf(4)],
    )
    const { stdout: routes } = await agent.namespace.exec('ip', ['route'])
    t.match(routes, further, 'the changed peer has what it was given')
    const answered = traffic.answered()
    t.same(
      answered,
      answered.map((_, index) => index + 1),
      'each request was answered, in order',
    )
  },
)
