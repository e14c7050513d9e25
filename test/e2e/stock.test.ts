/** Whalescale against wireguard-go: whoever begins, both speak the same WireGuard. */
import t from 'tap'
import type { Test } from 'tap'
import type { Namespace } from '#src/cli/demo/lab.js'
import { overlayA, overlayB, peerOf, port } from '../bed/agent.js'
import { addressA, addressB, makeBed, until } from '../bed/bed.js'
import type { Pair } from '../bed/bed.js'
import { capture } from './capture.js'
import { agentAndStock } from './mixed.js'
import { unless } from './requirements.js'
import { answers, complaints, makePresharedKey } from './stock.js'
import { ping, stream } from './traffic.js'

const skip = unless('wireguard-go', 'wg', 'tcpdump', 'ethtool')
const options = { skip, timeout: 200_000 }
const mebibyte = 1 << 20

/** Type 4 without content: header, tag and nothing else. */
const keepaliveLength = 32

async function keepalivesFrom(source: string, pair: Pair, seconds: number): Promise<number> {
  const watching = await capture(pair.b, pair.linkB)
  const since = performance.now()
  await until('the time is over', () => performance.now() - since > seconds * 1000, 120_000)
  const passed = await watching.stop()
  return passed.filter((one) => one.source === source && one.length === keepaliveLength).length
}

/** Both ways, with data that is compared. */
async function bothWays(t: Test, a: Namespace, b: Namespace): Promise<void> {
  for (const [from, to, address] of [
    [a, b, overlayB],
    [b, a, overlayA],
  ] as const) {
    const { sent, received } = await stream(from, to, address, 8 * mebibyte)
    t.equal(received.sha256, sent.sha256, `every byte reached ${address} unchanged`)
  }
}

void t.test('we initiate a session with wireguard-go', options, async (t) => {
  const bed = await makeBed(t)
  const pair = await bed.pair()
  const { stock } = await agentAndStock(bed, pair, { weKnowTheEndpoint: true })
  t.ok(await answers(pair.a, overlayB, 60))
  t.equal(await stock.show('endpoints'), `${addressA}:${port}`)
  await bothWays(t, pair.a, pair.b)
  t.same(complaints(stock), [])
})

void t.test('wireguard-go initiates a session with us', options, async (t) => {
  const bed = await makeBed(t)
  const pair = await bed.pair()
  const watching = await capture(pair.b, pair.linkB)
  const { agent, stock } = await agentAndStock(bed, pair, { itKnowsTheEndpoint: true })
  t.ok(await answers(pair.b, overlayA, 60))
  t.match(await peerOf(agent, 'stock'), {
    state: 'connected',
    endpoint: `${addressB}:${port}`,
  })
  await bothWays(t, pair.a, pair.b)
  const ours = (await watching.stop()).filter(({ source }) => source === addressA)
  t.notOk(
    ours.some(({ payload }) => payload.readUInt32LE(0) === 1),
    'we begin no session of our own',
  )
  t.same(complaints(stock), [])
})

void t.test('the same preshared key on both sides connects', options, async (t) => {
  const bed = await makeBed(t)
  const pair = await bed.pair()
  const presharedKey = await makePresharedKey(bed, pair.a)
  const { stock } = await agentAndStock(bed, pair, {
    weKnowTheEndpoint: true,
    ourPresharedKey: presharedKey,
    itsPresharedKey: presharedKey,
  })
  t.ok(await answers(pair.a, overlayB, 60))
  t.same(complaints(stock), [])
})

void t.test('different preshared keys never connect, whoever begins', options, async (t) => {
  const bed = await makeBed(t)
  const pair = await bed.pair()
  const { agent, stock } = await agentAndStock(bed, pair, {
    weKnowTheEndpoint: true,
    itKnowsTheEndpoint: true,
    ourPresharedKey: await makePresharedKey(bed, pair.a),
    itsPresharedKey: await makePresharedKey(bed, pair.b),
  })
  t.notOk(await answers(pair.a, overlayB, 2))
  t.notOk(await answers(pair.b, overlayA, 2))
  t.not((await peerOf(agent, 'stock')).state, 'connected')
  t.equal(await stock.show('latest-handshakes'), '0', 'nor does wireguard-go see a session')
})

void t.test('our persistent keepalive keeps its interval', options, async (t) => {
  const bed = await makeBed(t)
  const pair = await bed.pair()
  const { stock } = await agentAndStock(bed, pair, { weKnowTheEndpoint: true, ourKeepalive: 1 })
  await until('the keepalive began the session', async () => {
    return Number(await stock.show('latest-handshakes')) > 0
  })
  const count = await keepalivesFrom(addressA, pair, 4.5)
  t.ok(count === 4 || count === 5, `4 or 5 keepalives in 4.5 s, were ${count}`)
})

void t.test(
  'the persistent keepalive of wireguard-go is no reason to answer',
  options,
  async (t) => {
    const bed = await makeBed(t)
    const pair = await bed.pair()
    const { agent } = await agentAndStock(bed, pair, { itKnowsTheEndpoint: true, itsKeepalive: 1 })
    await until('the keepalive began the session', async () => {
      return (await peerOf(agent, 'stock')).state === 'connected'
    })
    const before = await peerOf(agent, 'stock')
    const ours = await keepalivesFrom(addressA, pair, 3.5)
    const after = await peerOf(agent, 'stock')
    t.ok(after.rxBytes > before.rxBytes, 'its keepalives arrive')
    t.equal(ours, 0, 'we are silent')
  },
)

void t.test('our change of address keeps the session', options, async (t) => {
  const bed = await makeBed(t)
  const pair = await bed.pair()
  const { stock } = await agentAndStock(bed, pair, { weKnowTheEndpoint: true })
  t.ok(await answers(pair.a, overlayB, 60))
  const handshake = await stock.show('latest-handshakes')
  const running = ping(pair.a, overlayB, 60, 50)
  await pair.a.exec('ip', ['address', 'add', '192.0.2.77/24', 'dev', pair.linkA])
  await pair.a.exec('sysctl', ['-qw', `net.ipv4.conf.${pair.linkA}.promote_secondaries=1`])
  await pair.a.exec('ip', ['address', 'del', `${addressA}/24`, 'dev', pair.linkA])
  t.match(await running, { sent: 60, received: 60 }, 'no packet was lost')
  t.equal(await stock.show('endpoints'), `192.0.2.77:${port}`)
  t.equal(await stock.show('latest-handshakes'), handshake, 'there was no new handshake')
})

void t.test('a change of address of wireguard-go keeps the session', options, async (t) => {
  const bed = await makeBed(t)
  const pair = await bed.pair()
  const { agent, stock } = await agentAndStock(bed, pair, {
    weKnowTheEndpoint: true,
    itKnowsTheEndpoint: true,
  })
  t.ok(await answers(pair.a, overlayB, 60))
  const handshake = await stock.show('latest-handshakes')
  await stock.set(['listen-port', '51999'])
  // The answer to the very packet that tells of the move may still go to the old address.
  const { sent, received } = await ping(pair.b, overlayA, 20, 50)
  t.ok(sent - received <= 1, `${received} of ${sent} pings were answered`)
  t.equal((await peerOf(agent, 'stock')).endpoint, `${addressB}:51999`)
  t.match(await ping(pair.a, overlayB, 5, 50), { received: 5 }, 'we send to the new address')
  t.equal(await stock.show('latest-handshakes'), handshake, 'there was no new handshake')
})

void t.test('a stock peer sees bare WireGuard and nothing else', options, async (t) => {
  const bed = await makeBed(t)
  const pair = await bed.pair()
  // Super-packets would hide the datagrams in them from the capture.
  for (const [namespace, link] of [
    [pair.a, pair.linkA],
    [pair.b, pair.linkB],
  ] as const) {
    await namespace.exec('ethtool', ['-K', link, 'tx-udp-segmentation', 'off', 'gro', 'off'])
  }
  const watching = await capture(pair.b, pair.linkB)
  const { agent, stock } = await agentAndStock(bed, pair, {
    weKnowTheEndpoint: true,
    itKnowsTheEndpoint: true,
  })
  t.ok(await answers(pair.a, overlayB, 60))
  await bothWays(t, pair.a, pair.b)
  const refused = await agent.client.ping('stock').then(
    () => 'answered',
    () => 'refused',
  )
  t.equal(refused, 'refused', 'our own ping is not for stock peers')
  const ours = (await watching.stop()).filter(({ source }) => source === addressA)
  t.ok(ours.length > 1000, `${ours.length} datagrams were seen`)
  const lengths = new Map([
    [1, 148],
    [2, 92],
    [3, 64],
  ])
  const strange = ours.filter(({ payload, length }) => {
    const type = payload.readUInt32LE(0)
    // A transport message: header of 16, content padded to 16, tag of 16 (whitepaper, 5.4.6).
    return type === 4 ? length < 32 || length > 1452 : lengths.get(type) !== length
  })
  t.same(
    strange.map(({ payload, length }) => [payload.readUInt32LE(0), length]),
    [],
  )
  t.same(complaints(stock), [], 'wireguard-go complains of no packet')
  const { drops } = await agent.client.status()
  // What CoDel drops of a bulk flow on a busy machine, it drops on purpose.
  const deliberate = ['outQueueDelay', 'inQueueDelay']
  t.same(
    Object.entries(drops).filter(([name, count]) => count > 0 && !deliberate.includes(name)),
    [],
    'nor do we',
  )
})
