import { closeSync, fstatSync, openSync } from 'node:fs'
import t from 'tap'
import { parseConfig } from '#src/config/load.js'
import type { Config } from '#src/config/config.js'
import { ExitCode } from '#src/errors.js'
import { Agent } from '#src/node/agent.js'
import type { Resources } from '#src/node/agent.js'
import type { Lookup } from '#src/node/resolver.js'
import { logTwin } from '../twins/log.js'
import { NativeTwin, identity, idleStats } from '../twins/native.js'

const peerId = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena'
const stockKey = 'HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw='

function configOf(peers: string, node = ''): Config {
  const text = `[node]\nprivate_key_file = "k"\naddresses = ["10.88.0.1/24"]\n${node}\n${peers}`
  return parseConfig(text, '/c/c.toml').config
}

const onePeer = `[[peer]]
name = "b"
node_id = "${peerId}"
endpoints = ["192.0.2.7:51820"]
allowed_ips = ["10.88.0.2/32", "172.16.0.0/12"]
`

/** Any descriptor: the addon twin does not read it. */
const descriptor = (): number => openSync('/dev/null', 'r')

function start(
  config: Config,
  options: { native?: NativeTwin; lookup?: Lookup; resources?: Partial<Resources> } = {},
) {
  const native = options.native ?? new NativeTwin()
  const log = logTwin()
  const stored: string[] = []
  const resources: Resources = {
    tun: { fd: -1, name: 'whale0', vnetHeader: true },
    keyFd: descriptor(),
    presharedKeys: new Map(),
    timestampFloor: undefined,
    ...options.resources,
  }
  const agent = new Agent(config, resources, {
    native,
    log,
    lookup: options.lookup ?? (() => Promise.resolve([])),
    storeTimestamp: (value) => {
      stored.push(value)
    },
    now: () => 0,
  })
  return { agent, native, log, stored, resources }
}

t.test('starting wishes sockets, the device and every peer', (t) => {
  const { native } = start(configOf(onePeer))
  t.same(native.applied, [
    { type: 'Sockets', port: 51820, interfaces: ['auto'], exclude: [], metered: [] },
    {
      type: 'Link',
      addresses: ['10.88.0.1/24', `${identity.overlayIpv6}/48`],
      // 10.88.0.2/32 lies in the network of our own address, which the kernel routes by itself.
      routes: ['172.16.0.0/12'],
    },
    {
      type: 'Peer',
      id: peerId,
      nodeId: peerId,
      wireguardPublicKey: '2F4H7CKwrYgVN8L0TWYtGhQ8+DDFespDBdhcepD2ti4=',
      endpoints: ['192.0.2.7:51820'],
      allowedIps: ['10.88.0.2/32', '172.16.0.0/12'],
    },
  ])
  t.end()
})

t.test(
  'the addon gets a fixed MTU, a chosen AEAD or depth and the stored timestamp, and no defaults',
  (t) => {
    const timestampFloor = '400000006553f0e80000007b'
    const fixed = configOf('[multipath]\ndepth = 128\n', 'mtu = 1300\naead = "ring"')
    t.match(start(fixed, { resources: { timestampFloor } }).native.opened, {
      mtu: 1300,
      aead: 'ring',
      depth: 128,
      timestampFloor,
    })
    const { opened } = start(configOf('')).native
    t.ok(opened)
    for (const name of ['mtu', 'aead', 'depth', 'timestampFloor']) t.notOk(name in (opened ?? {}))
    t.end()
  },
)

t.test('a peer with the key of this node itself is refused', (t) => {
  const self = `[[peer]]\nwireguard_public_key = "${identity.wireguardPublicKey}"\n`
  t.throws(() => start(configOf(self)), { code: 'BadConfig', exitCode: ExitCode.usage })
  t.end()
})

t.test('names are looked up, and addresses inside the tunnel left out', async (t) => {
  const named = onePeer.replace('192.0.2.7:51820', 'home.example:1')
  const asked: string[] = []
  const { native, log } = start(configOf(named), {
    lookup: (host) => {
      asked.push(host)
      return Promise.resolve(['2001:db8::7', '172.16.0.9', '192.0.2.8'])
    },
  })
  t.match(native.applied.at(-1), { type: 'Peer', endpoints: [] })
  await new Promise(setImmediate)
  t.same(asked, ['home.example'])
  t.match(native.applied.at(-1), { type: 'Peer', endpoints: ['[2001:db8::7]:1', '192.0.2.8:1'] })
  t.match(log.lines.at(-1), { level: 'warn', message: /in the tunnel/ })
})

t.test('a timestamp is stored before its event is done with', (t) => {
  const { native, stored } = start(configOf(''))
  native.report({ type: 'Timestamp', value: 'aa' })
  t.same(stored, ['aa'])
  t.end()
})

t.test('a ping is answered by the event with its token', async (t) => {
  const { agent, native } = start(configOf(onePeer))
  native.answerPing = (id, token) => ({
    type: 'Pong',
    id,
    token,
    rttUs: 1500,
    local: 'l',
    remote: 'r',
    kind: 'direct',
  })
  t.same(await agent.ping('b'), { rttMs: 1.5, kind: 'direct', local: 'l', remote: 'r' })
  native.answerPing = (id, token) => ({ type: 'PingTimeout', id, token })
  await t.rejects(agent.ping(peerId), { code: 'PeerUnreachable', exitCode: ExitCode.unreachable })
  await t.rejects(agent.ping('nobody'), { code: 'UnknownPeer', exitCode: ExitCode.usage })
})

t.test('stopping closes the addon once and ends with 0', async (t) => {
  const { agent, native } = start(configOf(onePeer))
  agent.stop()
  agent.stop()
  t.equal(await agent.ended, ExitCode.ok)
  t.equal(native.closed, 1)
})

t.test('a fatal event undoes everything and ends with 1', async (t) => {
  const { agent, native, log } = start(configOf(''))
  native.report({ type: 'Fatal', message: 'a thread died' })
  t.equal(await agent.ended, ExitCode.failure)
  t.equal(native.closed, 1)
  t.match(log.lines.at(-1), { level: 'error', message: /a thread died/ })
})

t.test('reloading removes, changes and adds peers, and leaves the others alone', (t) => {
  const stock = `[[peer]]\nwireguard_public_key = "${stockKey}"\n`
  const { agent, native } = start(configOf(onePeer))
  native.applied.length = 0
  agent.reload(configOf(onePeer + stock), new Map())
  t.match(native.applied, [{ type: 'Peer', id: stockKey }, { type: 'Link' }])
  t.equal(native.applied.length, 2)
  native.applied.length = 0
  agent.reload(configOf(stock), new Map())
  t.match(native.applied, [
    { type: 'RemovePeer', id: peerId },
    { type: 'Link', routes: [] },
  ])
  t.same(
    agent.peers().peers.map(({ name }) => name),
    [stockKey],
  )
  t.end()
})

t.test('reloading other interfaces asks for other sockets, and equal ones for none', (t) => {
  const { agent, native } = start(configOf(''))
  native.applied.length = 0
  agent.reload(configOf(''), new Map())
  t.notOk(native.applied.some(({ type }) => type === 'Sockets'))
  const text = '[paths]\nexclude = ["docker0"]\nmetered = ["usb0"]\n'
  agent.reload(configOf(text), new Map())
  t.match(native.applied.at(-1), {
    type: 'Sockets',
    interfaces: ['auto'],
    exclude: ['docker0'],
    metered: ['usb0'],
  })
  t.end()
})

t.test('reloading what only a restart can change is refused and changes nothing', (t) => {
  const { agent, native } = start(configOf(onePeer))
  native.applied.length = 0
  t.throws(
    () => {
      agent.reload(configOf('', 'listen_port = 5\ninterface = "x"'), new Map())
    },
    {
      code: 'NeedsRestart',
      message: /interface, listen_port/,
    },
  )
  t.same(native.applied, [])
  t.equal(agent.peers().peers.length, 1)
  t.end()
})

t.test('a reload closes the descriptors of preshared keys only once the addon has agreed', (t) => {
  const fd = descriptor()
  const psk = onePeer + 'preshared_key_file = "b.psk"\n'
  const presharedKeys = new Map([['/c/b.psk', fd]])
  const { agent, native } = start(configOf(psk), { resources: { presharedKeys } })
  native.refuse = () => new Error('no')
  const fresh = descriptor()
  t.throws(() => {
    agent.reload(configOf(psk), new Map([['/c/b.psk', fresh]]))
  }, /no/)
  t.doesNotThrow(() => fstatSync(fd))
  native.refuse = () => undefined
  agent.reload(configOf(psk), new Map([['/c/b.psk', fresh]]))
  t.throws(() => fstatSync(fd), { code: 'EBADF' })
  closeSync(fresh)
  t.end()
})

const measured: (typeof idleStats)['peers'][number] = {
  id: peerId,
  overlayIpv6: 'fd1a:afe7:554f:1:2:3:4:5',
  state: 'connected',
  endpoint: '192.0.2.7:51820',
  latestHandshakeMs: 5,
  handshakeMs: 1.5,
  txBytes: 1,
  rxBytes: 2,
  txPackets: 3,
  rxPackets: 4,
  innerMtu: 1360,
  reorderHeld: 5,
  reorderTimeouts: 6,
  repaired: 7,
  duplicates: 8,
  late: 9,
  paths: [],
}

t.test('what is unmeasured is null in every view', (t) => {
  const { agent, native } = start(configOf(onePeer))
  t.match(agent.status(), { schema: 1, nodeId: identity.nodeId, innerMtu: 1420, aead: 'ring' })
  t.match(agent.status().peers[0], { state: 'idle', endpoint: null, latestHandshakeMs: null })
  t.match(agent.paths(), { schema: 1, peers: [{ repaired: null, paths: [] }] })
  native.current = { ...idleStats, peers: [measured] }
  t.match(agent.peers().peers[0], { state: 'connected', handshakeMs: 1.5, rxBytes: 2 })
  t.equal(agent.peers().peers[0]?.allowedIps.at(-1), 'fd1a:afe7:554f:1:2:3:4:5/128')
  t.match(agent.paths().peers[0], { innerMtu: 1360, reorderHeld: 5, repaired: 7, late: 9 })
  t.end()
})

t.test('of a stock peer nothing that bonding counts is told', (t) => {
  const id = '2F4H7CKwrYgVN8L0TWYtGhQ8+DDFespDBdhcepD2ti4='
  const { agent, native } = start(configOf(`[[peer]]\nwireguard_public_key = "${id}"\n`))
  native.current = { ...idleStats, peers: [{ ...measured, id }] }
  t.match(agent.paths().peers[0], {
    innerMtu: 1360,
    reorderHeld: null,
    repaired: null,
    late: null,
  })
  t.end()
})
