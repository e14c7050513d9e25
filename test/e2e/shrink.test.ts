/** A path that becomes narrower while it is in use. */
import t from 'tap'
import { overlayB } from '../bed/agent.js'
import { makeBed, until } from '../bed/bed.js'
import { unless } from './requirements.js'
import { routed, settles } from './routed.js'
import { answers } from './stock.js'
import { stream } from './traffic.js'

const options = { skip: unless('nft'), timeout: 250_000 }

void t.test('a transfer goes on when its path shrinks under it', options, async (t) => {
  const bed = await makeBed(t)
  const { duo, narrow } = await routed(bed, 1500)
  t.ok(await answers(duo.a.namespace, overlayB, 10))
  await settles(duo.a, 1500, 60_000)
  // Paced, so that the path shrinks in its midst however fast the machine is.
  const started = performance.now()
  const transfer = stream(duo.a.namespace, duo.b.namespace, overlayB, 48 << 20, 7000, 16)
  await until('the transfer is under way', async () => {
    const { peers } = await duo.a.client.peers()
    return (peers[0]?.txBytes ?? 0) > 4 << 20
  })
  await narrow(1400)
  const shrunk = performance.now()
  await settles(duo.a, 1400, 120_000)
  t.comment(`the new size was found after ${Math.round(performance.now() - shrunk)} ms`)
  const { sent, received } = await transfer
  t.comment(`the transfer took ${Math.round(performance.now() - started)} ms`)
  t.equal(received.sha256, sent.sha256, 'every byte arrived')
})
