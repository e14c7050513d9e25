/**
 * `mtu = "auto"`: the tunnel takes what the path carries, whatever ICMP says or does not say. Between
 * the agents lies a router, so that no local interface gives the size away.
 */
import t from 'tap'
import { overlayB } from '../bed/agent.js'
import { makeBed } from '../bed/bed.js'
import { unless } from './requirements.js'
import { routed, settles } from './routed.js'
import { answers } from './stock.js'
import { stream } from './traffic.js'

const options = { skip: unless('nft'), timeout: 200_000 }
for (const path of [1500, 1428, 1350]) {
  void t.test(`over a path of ${path} bytes the tunnel takes what fits`, options, async (t) => {
    const bed = await makeBed(t)
    const { duo } = await routed(bed, path)
    t.ok(await answers(duo.a.namespace, overlayB, 10), 'it connects at once')
    const [inner] = await Promise.all([settles(duo.a, path, 80_000), settles(duo.b, path, 80_000)])
    t.comment(`inner MTU ${inner}`)
    const { sent, received } = await stream(duo.a.namespace, duo.b.namespace, overlayB, 16 << 20)
    t.equal(received.sha256, sent.sha256, 'a bulk transfer passes')
  })
}
