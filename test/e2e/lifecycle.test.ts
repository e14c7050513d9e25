/** How an agent starts, changes and ends: nothing that it did outlives it. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import t from 'tap'
import type { Namespace } from '#src/cli/demo/lab.js'
import { configure, makeNode, overlayA, overlayB, peerOf, twoAgents, up } from '../bed/agent.js'
import type { NodeFiles, NodePlan } from '../bed/agent.js'
import { makeBed, until, whalescale } from '../bed/bed.js'
import { listenForDatagrams } from '../twins/datagrams.js'
import { unless } from './requirements.js'
import { ping } from './traffic.js'

const options = { skip: unless(), timeout: 200_000 }
const capNetAdmin = 1n << 12n

/** All that an agent can leave behind in a namespace and beside it. */
async function traces(node: NodeFiles): Promise<string[]> {
  const see = async (...args: string[]): Promise<string> =>
    (await node.namespace.exec('ip', args)).stdout
  const routes = `${await see('route', 'show', 'table', 'all')}${await see('-6', 'route', 'show', 'table', 'all')}`
  const found = {
    interface: (await see('-o', 'link')).includes('whale0'),
    address: (await see('-o', 'address')).includes(overlayA),
    route: routes.includes('whale0') || routes.includes('10.99.0.0'),
    socket: existsSync(node.controlSocket),
    'read-only socket': existsSync(`${node.controlSocket}.ro`),
  }
  return Object.entries(found).flatMap(([name, there]) => (there ? [name] : []))
}

const everything = ['interface', 'address', 'route', 'socket', 'read-only socket']

/** A node without peers to talk to, but with a route of its own. */
async function lone(namespace: Namespace, bed: Parameters<typeof makeNode>[0]): Promise<NodeFiles> {
  const node = await makeNode(bed, namespace, 'a')
  const other = await makeNode(bed, namespace, 'other')
  const allowedIps = ['10.99.0.0/16']
  const peers = [{ name: 'other', nodeId: other.identity.nodeId, allowedIps }]
  configure(node, { addresses: [`${overlayA}/24`], peers })
  return node
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  void t.test(`${signal} undoes everything that "up" did`, options, async (t) => {
    const bed = await makeBed(t)
    const agent = await up(await lone(await bed.namespace('a'), bed))
    t.same(await traces(agent), everything, 'while it runs, all is there')
    agent.process.child.kill(signal)
    t.equal(await agent.process.exited, 0)
    t.same(await traces(agent), [])
  })
}

void t.test(
  '"up" works again after a kill -9, and leaves nothing of the killed one',
  options,
  async (t) => {
    const bed = await makeBed(t)
    const node = await lone(await bed.namespace('a'), bed)
    const killed = await up(node)
    killed.process.child.kill('SIGKILL')
    await killed.process.exited
    const agent = await up(node)
    t.equal((await agent.client.status()).pid, agent.process.pid)
    await agent.process.stop()
    t.same(await traces(node), [])
  },
)

void t.test(
  '"up --detach" returns when the tunnel is up, and "down" when it is gone',
  options,
  async (t) => {
    const bed = await makeBed(t)
    const node = await lone(await bed.namespace('a'), bed)
    const { namespace } = node
    t.match(await whalescale(namespace, ['up', node.configFile, '--detach']), { code: 0 })
    t.same(await traces(node), everything)
    t.match(await whalescale(namespace, ['status', '-c', node.configFile]), { code: 0 })
    t.match(await whalescale(namespace, ['down', '-c', node.configFile]), { code: 0 })
    t.same(await traces(node), [])
  },
)

void t.test('"up" tells a service manager when it is up and when it stops', options, async (t) => {
  const bed = await makeBed(t)
  const node = await lone(await bed.namespace('a'), bed)
  const address = `${bed.directory}/notify`
  const manager = listenForDatagrams(address)
  t.teardown(() => {
    manager.close()
  })
  const agent = await up(node, ['env', `NOTIFY_SOCKET=${address}`])
  t.equal(await until('it is ready', () => manager.next()), 'READY=1')
  agent.process.child.kill('SIGTERM')
  t.equal(await agent.process.exited, 0)
  t.equal(manager.next(), 'STOPPING=1')
})

void t.test('every command exits with 3 where no agent runs', options, async (t) => {
  const bed = await makeBed(t)
  const namespace = await bed.namespace('a')
  const named = ['--socket', `${bed.directory}/none.sock`]
  const commands = [['status'], ['peers'], ['paths'], ['ping', 'somebody'], ['down']]
  const runs = commands.map((command) => whalescale(namespace, [...command, ...named]))
  for (const { code, stderr } of await Promise.all(runs)) {
    t.equal(code, 3)
    t.match(stderr, /^whalescale: no agent is running at .*\n$/)
  }
})

void t.test(
  'a second "up" with the same control socket is refused and disturbs nothing',
  options,
  async (t) => {
    const bed = await makeBed(t)
    const node = await lone(await bed.namespace('a'), bed)
    const agent = await up(node)
    const { code, stderr } = await whalescale(node.namespace, ['up', node.configFile])
    t.equal(code, 1)
    t.match(stderr, /an agent is running already/)
    t.equal((await agent.client.status()).pid, agent.process.pid)
  },
)

void t.test(
  'every thread of a running agent has CAP_NET_ADMIN and nothing else',
  options,
  async (t) => {
    const bed = await makeBed(t)
    const agent = await up(await lone(await bed.namespace('a'), bed))
    const tasks = `/proc/${agent.process.pid}/task`
    const threads = readdirSync(tasks)
    t.ok(threads.length > 3, `${threads.length} threads were looked at`)
    for (const thread of threads) {
      const status = readFileSync(`${tasks}/${thread}/status`, 'utf8')
      const set = (name: string): bigint =>
        BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? 'f'}`)
      const name = /^Name:\s*(.*)$/m.exec(status)?.[1] ?? ''
      t.equal(set('CapEff'), capNetAdmin, `effective, of ${name}`)
      t.equal(set('CapPrm'), capNetAdmin, `permitted, of ${name}`)
      t.equal(set('CapBnd') & ~capNetAdmin, 0n, `bounding, of ${name}`)
      t.match(status, /^NoNewPrivs:\s*1$/m)
    }
  },
)

void t.test(
  '"reload" adds and removes a peer, and the traffic of another loses no packet',
  options,
  async (t) => {
    const bed = await makeBed(t)
    const { a, b } = await twoAgents(bed, await bed.pair())
    await ping(a.namespace, overlayB, 1, 10)
    const stranger = await makeNode(bed, a.namespace, 'stranger')
    const peerB = {
      name: 'b',
      nodeId: b.identity.nodeId,
      endpoints: ['192.0.2.2:51820'],
      allowedIps: [`${overlayB}/32`],
    }
    const added = { name: 'new', nodeId: stranger.identity.nodeId, allowedIps: ['10.99.0.0/16'] }
    const plan = (peers: NodePlan['peers']): NodePlan => ({ addresses: [`${overlayA}/24`], peers })
    const route = async (): Promise<boolean> =>
      (await a.namespace.exec('ip', ['route'])).stdout.includes('10.99.0.0/16')

    const running = ping(a.namespace, overlayB, 300, 10)
    for (const [peers, names] of [
      [
        [peerB, added],
        ['b', 'new'],
      ],
      [[peerB], ['b']],
    ] as const) {
      configure(a, plan(peers))
      t.match(await whalescale(a.namespace, ['reload', a.configFile]), { code: 0 })
      t.same(
        (await a.client.peers()).peers.map(({ name }) => name),
        names,
      )
      t.equal(await route(), names.length === 2, 'the route comes and goes with its peer')
    }
    const { sent, received, output } = await running
    t.equal(received, sent, output)
    const { latestHandshakeMs } = await peerOf(a, 'b')
    t.ok((latestHandshakeMs ?? 0) > 2000, 'the session is still the first one')
  },
)
