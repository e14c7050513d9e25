/** Cookies: whoever is under load proves nothing to strangers, and still lets its peers in. */
import t from 'tap'
import { overlayA, overlayB, port, up } from '../bed/agent.js'
import { addressA, addressB, makeBed, until } from '../bed/bed.js'
import type { Bed, Pair } from '../bed/bed.js'
import { capture } from './capture.js'
import type { Captured } from './capture.js'
import { agentAndStock } from './mixed.js'
import type { Joined } from './mixed.js'
import { flood } from './programs.js'
import { unless } from './requirements.js'
import { answers, complaints } from './stock.js'

const skip = unless('wireguard-go', 'wg', 'tcpdump', 'cc')
const options = { skip, timeout: 200_000 }

const initiation = 1
const cookieReply = 3
const typeOf = ({ payload }: Captured): number => payload.readUInt32LE(0)
const hasMac2 = ({ payload }: Captured): boolean =>
  payload.subarray(132, 148).some((byte) => byte !== 0)

/** A third namespace with a link to `target`, whose end there is 198.51.100.1. */
async function stranger(bed: Bed, target: Pair['a']): Promise<Pair['a']> {
  const namespace = await bed.namespace('c')
  await bed.lab.veth(namespace, target, {
    addressA: '198.51.100.2/24',
    addressB: '198.51.100.1/24',
  })
  return namespace
}

/** The first initiation that passes a link, whose mac1 is therefore right. */
async function realInitiation(pair: Pair, begin: () => Promise<unknown>): Promise<Buffer> {
  const watching = await capture(pair.b, pair.linkB)
  await begin()
  const found = await until('an initiation passed', () =>
    watching.datagrams().find((datagram) => typeOf(datagram) === initiation),
  )
  await watching.stop()
  return found.payload
}

/** wireguard-go forgets its session with the agent, so that it has to begin anew. */
async function forget({ agent, stock }: Joined): Promise<void> {
  const peer = ['peer', agent.identity.wireguardPublicKey]
  await stock.set([...peer, 'remove'])
  await stock.set([...peer, 'endpoint', `${addressA}:${port}`, 'allowed-ips', `${overlayA}/32`])
}

void t.test(
  'wireguard-go gets in by our cookie while others flood us with initiations',
  options,
  async (t) => {
    const bed = await makeBed(t)
    const pair = await bed.pair()
    const joined = await agentAndStock(bed, pair, { itKnowsTheEndpoint: true })
    const { agent, stock } = joined
    const message = await realInitiation(pair, () => answers(pair.b, overlayA, 10))
    const from = await stranger(bed, pair.a)
    const flooding = flood(bed, from, [message], {
      address: '198.51.100.1',
      port,
      burstsPerSecond: 4,
      seconds: 20,
    })
    await until('we are under load', async () => {
      return ((await agent.client.status()).drops['inRateLimited'] ?? 0) > 100
    })
    const watching = await capture(pair.b, pair.linkB)
    await forget(joined)
    t.ok(await answers(pair.b, overlayA, 60), 'it connects')
    const passed = await watching.stop()
    await flooding.stop()
    const cookie = passed.findIndex((one) => typeOf(one) === cookieReply && one.source === addressA)
    t.ok(cookie >= 0, 'we asked for proof of its address')
    const proof = passed.slice(cookie).find((one) => typeOf(one) === initiation)
    t.ok(proof !== undefined && hasMac2(proof), 'it began again with mac2')
    t.same(complaints(stock), [])
  },
)

void t.test(
  'we get in by the cookie of a wireguard-go that others flood with initiations',
  options,
  async (t) => {
    const bed = await makeBed(t)
    const pair = await bed.pair()
    const { agent } = await agentAndStock(bed, pair, { weKnowTheEndpoint: true })
    const message = await realInitiation(pair, () => answers(pair.a, overlayB, 10))
    const from = await stranger(bed, pair.b)
    const flooding = flood(bed, from, [message], {
      address: '198.51.100.1',
      port,
      burstsPerSecond: 4,
      seconds: 20,
    })
    const watching = await capture(pair.b, pair.linkB)
    await agent.process.stop()
    await up(agent)
    t.ok(await answers(pair.a, overlayB, 60), 'we connect')
    const passed = await watching.stop()
    await flooding.stop()
    const cookie = passed.findIndex((one) => typeOf(one) === cookieReply && one.source === addressB)
    t.ok(cookie >= 0, 'it asked for proof of our address')
    const proof = passed.slice(cookie).find((one) => typeOf(one) === initiation)
    t.ok(proof !== undefined && hasMac2(proof), 'we began again with mac2')
  },
)
