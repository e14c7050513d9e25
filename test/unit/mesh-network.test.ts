import t from 'tap'
import { Network } from '../../bench/gossip/network.js'
import type { NetworkOptions, Node } from '../../bench/gossip/model.js'
import { roundMs } from '#src/gossip/spread.js'
import { Kind, decodeMessage } from '#src/wire/messages.js'

const seed = Number(process.env['MESH_SEED'] ?? 20_261_121)
t.comment(`seed ${seed}; set MESH_SEED for another`)

function network(options: Partial<NetworkOptions> & { nodes: number }): Network {
  return new Network({
    anchors: 2,
    seed,
    loss: 0,
    delayMs: [5, 30],
    knows: 'anchors',
    ...options,
  })
}

function endpointsKnown(net: Network): boolean {
  return net.nodes.every((node) => net.routes.count(node) === net.nodes.length - 1)
}

/** When each other node first held `peer` in that state, in milliseconds from now on. */
function watchState(net: Network, peer: Node, wanted: string): Map<Node, number> {
  const since = net.now
  const seen = new Map<Node, number>()
  net.watch = (node, effect) => {
    if (effect.type !== 'member' || effect.peer !== peer.identity.nodeId) return
    if (effect.state === wanted && !seen.has(node)) seen.set(node, net.now - since)
  }
  return seen
}

function last<Value>(values: readonly Value[]): Value {
  const value = values.at(-1)
  if (value === undefined) throw new Error('nothing is last of nothing')
  return value
}

t.test('twelve nodes that know one anchor each know all endpoints within 3 s', (t) => {
  for (let run = 0; run < 10; run += 1) {
    const net = network({ nodes: 12, anchors: 1, seed: seed + run })
    net.start(500)
    t.ok(
      net.run(3_500, () => endpointsKnown(net)),
      `seed ${seed + run}`,
    )
  }
  t.end()
})

t.test('a killed node is Gone at each of eleven others within 8 s', (t) => {
  for (let run = 0; run < 20; run += 1) {
    const net = network({ nodes: 12, seed: seed + run, loss: run % 2 === 0 ? 0 : 0.03 })
    net.start(1_000)
    net.run(20_000 + 37 * run)
    const victim = last(net.nodes)
    const gone = watchState(net, victim, 'gone')
    net.kill(victim)
    net.run(net.now + 8_000, () => gone.size === 11)
    t.equal(gone.size, 11, `seed ${seed + run}`)
  }
  t.end()
})

for (const slow of [0, 2]) {
  const title = `a node killed soon after its start is Gone at eleven others within 7 s, health ${slow}`
  t.test(title, (t) => {
    for (let run = 0; run < 40; run += 1) {
      const net = network({ nodes: 12, anchors: 1, seed: seed + run, delayMs: [1, 30] })
      for (const node of net.nodes) net.startNode(node, node.index * 300)
      // Most have no session with it yet.
      net.run(11 * 300 + 1_000 + 37 * run)
      const victim = last(net.nodes)
      for (const { mesh } of net.nodes) mesh.health = slow
      const gone = watchState(net, victim, 'gone')
      net.kill(victim)
      net.run(net.now + 7_000, () => gone.size === 11)
      t.equal(gone.size, 11, `seed ${seed + run}`)
    }
    t.end()
  })
}

t.test('a node that finds another Gone tells its neighbours that it suspects it', (t) => {
  const net = network({ nodes: 6 })
  net.start(1_000)
  net.run(20_000)
  const victim = last(net.nodes)
  const found = new Set<Node>()
  const told = new Set<Node>()
  net.watch = (node, effect) => {
    if (effect.type === 'member' && effect.state === 'gone') found.add(node)
    if (effect.type !== 'send' || !found.has(node)) return
    const message = decodeMessage(effect.kind, effect.body)
    if (typeof message === 'string' || message.type !== 'update') return
    if (message.suspicions.some(({ accuser }) => accuser === node.identity.nodeId)) told.add(node)
  }
  net.kill(victim)
  net.run(net.now + 10_000)
  t.equal(found.size, 5, `seed ${seed}`)
  t.equal(told.size, 5)
  t.end()
})

t.test('of two nodes only one asks, once a second', (t) => {
  const net = network({ nodes: 2 })
  net.start(500)
  net.run(20_000)
  let questions = 0
  net.watch = (_, effect) => {
    if (effect.type === 'send' && effect.kind === Kind.ping) questions += 1
  }
  net.run(net.now + 60_000)
  // Beside these, anchors ask each other every 10 to 25 s.
  t.ok(questions >= 40 && questions <= 80, `${questions} questions in a minute, seed ${seed}`)
  t.end()
})

t.test('a node whose leaving was heard and whose last word was lost has Left', (t) => {
  const net = network({ nodes: 12 })
  net.start(500)
  net.run(15_000)
  const leaver = last(net.nodes)
  const heard = watchState(net, leaver, 'leaving')
  net.input(leaver, { type: 'leave' })
  net.run(net.now + 290, () => heard.size === 11)
  t.ok(heard.size > 0, `seed ${seed}`)
  net.kill(leaver)
  const ends = new Map<Node, string>()
  net.watch = (node, effect) => {
    if (effect.type === 'member' && effect.peer === leaver.identity.nodeId)
      ends.set(node, effect.state)
  }
  net.run(net.now + 30_000)
  t.strictSame([...new Set(ends.values())], ['left'], `seed ${seed}`)
  t.equal(ends.size, 11)
  t.end()
})

t.test('no node is falsely Gone at a tenth of all datagrams lost', (t) => {
  const net = network({ nodes: 40, loss: 0.1, knows: 'all' })
  const wrong: string[] = []
  let suspicions = 0
  net.watch = (node, effect) => {
    if (effect.type !== 'member') return
    if (effect.suspected) suspicions += 1
    if (effect.state === 'gone') wrong.push(`${node.index} at ${net.now}`)
  }
  net.start(2_000)
  net.run(300_000)
  t.strictSame(wrong, [], `seed ${seed}`)
  t.comment(`${suspicions} suspicions ended by an answer`)
  t.end()
})

t.test('an update leaves out none of a few nodes, whatever the dice', (t) => {
  for (let run = 0; run < 100; run += 1) {
    const net = network({ nodes: 5, anchors: 1, seed: seed + run })
    net.start(500)
    // Beyond the comparisons of the start, which would hide what gossip misses.
    net.run(20_000)
    const source = last(net.nodes)
    const reached = new Set<Node>()
    net.watch = (node, effect) => {
      if (effect.type === 'storeRecord' && effect.nodeId === source.identity.nodeId) {
        reached.add(node)
      }
    }
    net.input(source, net.selfOf(source, { version: '2' }))
    net.run(net.now + 5_000, () => reached.size === 4)
    t.equal(reached.size, 4, `seed ${seed + run}`)
  }
  t.end()
})

t.test('an update reaches 150 nodes within 12 gossip rounds', (t) => {
  const net = network({ nodes: 150, knows: 'all', delayMs: [5, 50] })
  net.start(1_000, true)
  net.run(20_000)
  const source = last(net.nodes)
  const reached = new Set<Node>()
  net.watch = (node, effect) => {
    if (effect.type === 'storeRecord' && effect.nodeId === source.identity.nodeId) reached.add(node)
  }
  net.input(source, net.selfOf(source, { version: '2' }))
  net.run(net.now + 12 * roundMs, () => reached.size === 149)
  t.equal(reached.size, 149, `seed ${seed}`)
  t.end()
})

for (const [nodes, anchors] of [
  [60, 2],
  [300, 1],
] as const) {
  t.test(`the busiest of ${nodes} quiet nodes sends at most 2 KB a second`, (t) => {
    const net = network({ nodes, anchors, knows: 'all' })
    net.start(1_000, true)
    net.run(60_000)
    const before = net.nodes.map(({ sentBytes }) => sentBytes)
    net.run(90_000)
    const rates = net.nodes.map(({ sentBytes }, i) => (sentBytes - (before[i] ?? 0)) / 30)
    t.ok(Math.max(...rates) <= 2_000, `${Math.max(...rates)} B/s, seed ${seed}`)
    t.end()
  })
}

t.test('a node that moves is known at its new address everywhere within 2 s', (t) => {
  const net = network({ nodes: 12 })
  net.start(1_000)
  net.run(20_000)
  const mover = last(net.nodes)
  const moved = '203.0.113.99:51820'
  net.move(mover, moved)
  const knowing = (): Node[] => net.nodes.filter((node) => net.routes.has(node, mover, moved))
  net.run(net.now + 2_000, () => knowing().length === 11)
  t.equal(knowing().length, 11, `seed ${seed}`)
  t.end()
})

t.test('a node that was cut off while others moved knows where they are within 20 s', (t) => {
  for (let run = 0; run < 10; run += 1) {
    const net = network({ nodes: 12, anchors: 1, seed: seed + run })
    net.start(500)
    net.run(20_000)
    const others = net.nodes.slice(1)
    const deaf = last(others.splice(-1))
    net.cut([deaf])
    for (const node of others) net.move(node, `203.0.113.${node.index}:51820`)
    net.run(net.now + 1_500)
    net.mend()
    const knowsAll = (): boolean =>
      others.every(({ identity, endpoint }) => {
        const { record } = deaf.mesh.peers.get(identity.nodeId) ?? {}
        return record?.endpoints.includes(endpoint) ?? false
      })
    t.notOk(knowsAll(), 'it was deaf')
    t.ok(net.run(net.now + 20_000, knowsAll), `seed ${seed + run}`)
  }
  t.end()
})

t.test('a Gone node returns by speaking', (t) => {
  const net = network({ nodes: 5 })
  net.start(500)
  net.run(15_000)
  const victim = last(net.nodes)
  const gone = watchState(net, victim, 'gone')
  net.kill(victim)
  net.run(net.now + 15_000, () => gone.size === 4)
  t.equal(gone.size, 4, `seed ${seed}`)
  const back = watchState(net, victim, 'joined')
  net.startNode(victim, 0)
  net.run(net.now + 5_000, () => back.size === 4)
  t.equal(back.size, 4, `seed ${seed}`)
  t.end()
})

t.test('a node that leaves has Left everywhere, without ever being suspected', (t) => {
  const net = network({ nodes: 12 })
  net.start(500)
  net.run(15_000)
  const leaver = last(net.nodes)
  const left = watchState(net, leaver, 'left')
  net.input(leaver, { type: 'leave' })
  net.run(net.now + 3_000, () => left.size === 11)
  t.equal(left.size, 11, `seed ${seed}`)
  t.equal(leaver.mesh.self.phase, 'left')
  net.kill(leaver)
  const gone = watchState(net, leaver, 'gone')
  net.run(net.now + 60_000)
  t.equal(gone.size, 0)
  t.end()
})

t.test('two halves that were apart find together again', (t) => {
  const net = network({ nodes: 10, knows: 'all' })
  net.start(500)
  net.run(15_000)
  const half = net.nodes.slice(5)
  net.cut(half)
  net.run(net.now + 60_000)
  t.ok(half.every(({ mesh }) => mesh.live.size === 4))
  net.mend()
  net.run(net.now + 120_000)
  const live = net.nodes.map(({ mesh }) => mesh.live.size)
  t.strictSame(
    live,
    Array.from({ length: 10 }, () => 9),
    `seed ${seed}`,
  )
  t.end()
})

t.test('equal seeds give equal runs', (t) => {
  const traces = [0, 1].map(() => {
    const net = network({ nodes: 12, loss: 0.1 })
    const trace: string[] = []
    net.watch = (node, { type }) => trace.push(`${net.now} ${node.index} ${type}`)
    net.start(500)
    net.run(20_000)
    return trace
  })
  t.strictSame(traces[0], traces[1], `seed ${seed}`)
  t.end()
})
