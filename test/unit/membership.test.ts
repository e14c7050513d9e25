import { generateKeyPairSync, sign } from 'node:crypto'
import { openSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { encodeNodeId } from '#src/config/identity.js'
import { parseConfig } from '#src/config/load.js'
import { ExitCode } from '#src/errors.js'
import { Agent } from '#src/node/agent.js'
import type { NodeEvent } from '#src/node/events.js'
import { logTwin } from '../twins/log.js'
import { NativeTwin, identity } from '../twins/native.js'

/** A key of this run whose node id, if we are unlucky, no rule of the configuration refuses. */
const keys = generateKeyPairSync('ed25519')
const raw = keys.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
const nodeId = encodeNodeId(raw)
const peerId = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena'

function textOf(stateDir: string, peers: string): string {
  const node = `[node]\nname = "me"\nprivate_key_file = "k"\nstate_dir = "${stateDir}"\n`
  return `${node}metadata = { room = "attic" }\naddresses = ["10.88.0.1/24"]\n${peers}`
}

const onePeer = `[[peer]]\nname = "b"\nnode_id = "${peerId}"\nallowed_ips = ["10.88.0.2/32"]\nanchor = true\n`

/** An agent of the twin, whose key is the one above. */
function joined(t: Test, peers = onePeer, directory = t.testdir()) {
  const native = new NativeTwin()
  native.open = (config, onEvents) => {
    NativeTwin.prototype.open.call(native, config, onEvents)
    return { ...identity, nodeId }
  }
  native.sign = (domain, body) => {
    const length = Buffer.alloc(8)
    length.writeUInt32LE(domain.length)
    return sign(null, Buffer.concat([length, Buffer.from(domain), body]), keys.privateKey)
  }
  const { config } = parseConfig(textOf(directory, peers), '/c.toml')
  const resources = {
    tun: { fd: -1, name: 'whale0', vnetHeader: true },
    keyFd: openSync('/dev/null', 'r'),
    presharedKeys: new Map<string, number>(),
    timestampFloor: undefined,
  }
  const log = logTwin()
  const agent = new Agent(config, resources, {
    ...{ native, log, lookup: () => Promise.resolve([]) },
    storeTimestamp: () => undefined,
    now: () => performance.now(),
  })
  const events: NodeEvent[] = []
  agent.events.listen((event) => events.push(event))
  t.teardown(() => {
    agent.stop()
  })
  return { agent, native, log, events, directory }
}

const network = (...addresses: string[]) => ({
  type: 'Network' as const,
  sockets: addresses.map((address) => ({ interface: 'eth0', address })),
})

t.test('before it has joined, the agent has no mesh and says so', async (t) => {
  const { agent } = joined(t)
  t.equal(agent.status().mesh, null)
  t.equal(agent.peers().peers[0]?.mesh, null)
  t.throws(() => agent.lkg(), { code: 'NotJoined' })
  await t.rejects(agent.check('b', null), { code: 'NotJoined' })
})

t.test('what the addon reports before the mesh is there is not lost', async (t) => {
  const { agent, native } = joined(t)
  native.report(network('192.0.2.1:51820', '127.0.0.1:51820'))
  native.report({
    type: 'Peer',
    id: peerId,
    state: 'connected',
    endpoint: '192.0.2.7:1',
    handshakeMs: 1,
  })
  await agent.join()
  const { mesh } = agent.status()
  t.same(mesh?.endpoints, ['192.0.2.1:51820'])
  t.ok(
    native.applied.some(({ type }) => type === 'Message'),
    'the peer is told of us',
  )
  t.match(agent.lkg().peers, [{ name: 'b', endpoints: [{ address: '192.0.2.7:1' }] }])
})

t.test('a node without peers of the mesh has joined at once', async (t) => {
  const { agent, events } = joined(t, '')
  await agent.join()
  await new Promise(setImmediate)
  t.match(agent.status().mesh, { phase: 'joined' })
  t.ok(events.some((event) => event.type === 'phase' && event.phase === 'joined'))
})

t.test('a session up reaches the cache, and a restart tries that address', async (t) => {
  const first = joined(t)
  await first.agent.join()
  first.native.report({
    ...{ type: 'Peer', id: peerId, state: 'connected' },
    ...{ endpoint: '192.0.2.7:1', handshakeMs: 1 },
  })
  first.agent.stop()
  t.equal(await first.agent.ended, ExitCode.ok)
  const second = joined(t, onePeer, first.directory)
  await second.agent.join()
  t.match(
    second.native.applied.findLast(({ type }) => type === 'Peer'),
    {
      id: peerId,
      endpoints: ['192.0.2.7:1'],
    },
  )
  t.match(second.agent.peers().peers[0]?.mesh?.candidates, [
    { endpoint: '192.0.2.7:1', source: 'cached' },
  ])
})

t.test('the sequence number is stored before anything is sent under it', async (t) => {
  const { agent, native, directory } = joined(t)
  native.report(network('192.0.2.1:51820'))
  await agent.join()
  const sequence = agent.status().mesh?.sequence ?? 0
  t.ok(sequence > 0)
  t.ok(agent.lkg().sequence >= sequence)
  agent.stop()
  await agent.ended
  const again = joined(t, onePeer, directory)
  again.native.report(network('192.0.2.1:51820'))
  await again.agent.join()
  t.ok((again.agent.status().mesh?.sequence ?? 0) > sequence, 'a restart never takes it again')
})

t.test('an endpoint inside the tunnel is never tried', async (t) => {
  const { agent, native } = joined(t, `${onePeer}endpoints = ["192.0.2.9:1"]\n`)
  await agent.join()
  native.report({
    type: 'Peer',
    id: peerId,
    state: 'connected',
    endpoint: '10.88.0.2:9',
    handshakeMs: 1,
  })
  const told = native.applied.flatMap((command) =>
    command.type === 'Peer' ? command.endpoints : [],
  )
  t.notOk(told.includes('10.88.0.2:9'))
})

t.test('an order that the addon refuses does not stop the mesh', async (t) => {
  const { agent, native } = joined(t)
  native.refuse = (commands) =>
    commands.some(({ type }) => type === 'Connect' || type === 'Message')
      ? new Error('no')
      : undefined
  await agent.join()
  native.report(network('192.0.2.1:51820'))
  native.report({
    type: 'Peer',
    id: peerId,
    state: 'connected',
    endpoint: '192.0.2.7:1',
    handshakeMs: 1,
  })
  t.match(agent.status().mesh, { endpoints: ['192.0.2.1:51820'] })
})

t.test('shutting down says goodbye to who is there, and ends', async (t) => {
  const { agent, native } = joined(t)
  await agent.join()
  native.report(network('192.0.2.1:51820'))
  native.report({
    type: 'Peer',
    id: peerId,
    state: 'connected',
    endpoint: '192.0.2.7:1',
    handshakeMs: 1,
  })
  native.applied.length = 0
  await agent.shutdown()
  t.equal(await agent.ended, ExitCode.ok)
  t.ok(native.applied.some((command) => command.type === 'Message' && command.id === peerId))
})

t.test('a check that nobody answers is a peer that cannot be reached', async (t) => {
  const { agent } = joined(t)
  await agent.join()
  await t.rejects(agent.check('nobody', null), { code: 'UnknownPeer' })
  await t.rejects(agent.check('b', 'nobody'), { code: 'UnknownPeer' })
  await t.rejects(agent.check('b', null), { code: 'PeerUnreachable', exitCode: 4 })
})
