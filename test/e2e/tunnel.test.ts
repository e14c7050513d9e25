/** Two Whalescale agents: what goes through their tunnel, and what their commands say of it. */
import t from 'tap'
import type { PathsView, PeersView, StatusView } from '#src/node/views.js'
import { overlayA, overlayB, peerOf, twoAgents } from '../bed/agent.js'
import type { Agent, Duo } from '../bed/agent.js'
import { makeBed, until, whalescale } from '../bed/bed.js'
import { unless } from './requirements.js'
import { ping, stream } from './traffic.js'

const mebibyte = 1 << 20

/** What a command prints with `--json`. */
async function json<View>(agent: Agent, ...command: readonly string[]): Promise<View> {
  const { code, stdout, stderr } = await whalescale(agent.namespace, [
    ...command,
    ...['--socket', agent.controlSocket, '--json'],
  ])
  if (code !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
  return JSON.parse(stdout) as View
}

const skip = unless()
const options = { skip, timeout: 200_000 }
/** The tests of this file share two agents, in this order. */
const duo: Promise<Duo> =
  skip === false
    ? makeBed(t).then(async (bed) => twoAgents(bed, await bed.pair()))
    : Promise.reject(new Error(skip))
duo.catch(() => undefined)

void t.test('the IPv4 overlay address answers', options, async (t) => {
  const { a } = await duo
  t.match(await ping(a.namespace, overlayB, 10, 20), { sent: 10, received: 10 })
})

void t.test('the IPv6 address that follows from the key answers', options, async (t) => {
  const { a, b } = await duo
  t.match(await ping(a.namespace, b.identity.overlayIpv6, 10, 20), { sent: 10, received: 10 })
})

void t.test(
  'TCP carries every byte unchanged, both ways, over IPv4 and IPv6',
  options,
  async (t) => {
    const { a, b } = await duo
    const ways = [
      { from: a, to: b, address: overlayB },
      { from: b, to: a, address: overlayA },
      { from: a, to: b, address: b.identity.overlayIpv6 },
    ]
    for (const { from, to, address } of ways) {
      const { sent, received } = await stream(from.namespace, to.namespace, address, 32 * mebibyte)
      t.equal(received.bytes, 32 * mebibyte)
      t.equal(received.sha256, sent.sha256)
    }
  },
)

void t.test('status, peers and paths agree with each other', options, async (t) => {
  const { a, b } = await duo
  const [status, peers, paths] = [
    await json<StatusView>(a, 'status'),
    await json<PeersView>(a, 'peers'),
    await json<PathsView>(a, 'paths'),
  ]
  const { nodeId } = b.identity
  t.match(status, {
    schema: 1,
    name: 'a',
    nodeId: a.identity.nodeId,
    overlayIpv6: a.identity.overlayIpv6,
    pid: a.process.pid,
    interface: 'whale0',
    listenPort: 51820,
    peers: [{ name: 'b', nodeId, state: 'connected', endpoint: '192.0.2.2:51820' }],
  })
  t.ok(status.aeadAvailable.includes(status.aead), 'the cipher is one of those available')
  t.match(peers, { schema: 1, peers: [{ name: 'b', nodeId, state: 'connected' }] })
  t.match(paths, {
    schema: 1,
    peers: [{ name: 'b', nodeId, innerMtu: status.innerMtu }],
  })
  const [path, ...others] = paths.peers[0]?.paths ?? []
  t.same(others, [], 'there is one path')
  t.match(path, { remote: '192.0.2.2:51820', kind: 'direct' })
  t.ok((path?.txBytes ?? 0) > 32 * mebibyte, 'the path counted what was sent')
  t.ok((path?.lossPct ?? 0) < 1, 'the wire lost nothing worth telling')
})

void t.test('the counters of one end are what the other end says', options, async (t) => {
  const { a, b } = await duo
  await until('both ends count the same', async () => {
    const [atA, atB] = [await peerOf(a, 'b'), await peerOf(b, 'a')]
    return atA.txPackets === atB.rxPackets && atB.txPackets === atA.rxPackets
  })
  const { drops } = await a.client.status()
  // A bulk flow is told by a loss when it fills the queues.
  const deliberate = ['outQueueDelay', 'inQueueDelay']
  t.same(
    Object.entries(drops).filter(([reason, count]) => count > 0 && !deliberate.includes(reason)),
    [],
    'nothing was dropped but to shorten a queue',
  )
})

void t.test('"ping PEER" tells the round trip and the way', options, async (t) => {
  const { a } = await duo
  type Reply = { rttMs: number; kind: string; remote: string }
  const { replies } = await json<{ replies: Reply[] }>(a, 'ping', 'b', '-n', '1')
  t.match(replies, [{ kind: 'direct', remote: '192.0.2.2:51820' }])
  t.ok((replies[0]?.rttMs ?? -1) > 0, 'the round trip took some time')
})

void t.test('"ping PEER" exits with 4 when the peer has gone', options, async (t) => {
  const { a, b } = await duo
  await b.process.stop()
  const named = ['--socket', a.controlSocket]
  const { code } = await whalescale(a.namespace, ['ping', 'b', '-n', '1', ...named])
  t.equal(code, 4)
})

void t.test('a ping to somebody unknown exits with 2', options, async (t) => {
  const { a } = await duo
  const named = ['--socket', a.controlSocket]
  const { code, stderr } = await whalescale(a.namespace, ['ping', 'nobody', '-n', '1', ...named])
  t.equal(code, 2)
  t.match(stderr, /no peer is called nobody/)
})
