/**
 * Rekeying while traffic flows. A session is renewed 120 seconds after it began (whitepaper, section 6.1)
 * and nothing makes it sooner, so all pairs run side by side in real time, every packet counted.
 */
import t from 'tap'
import type { Namespace } from '#src/cli/demo/lab.js'
import { overlayA, overlayB, peerOf, twoAgents } from './agent.js'
import { makeBed } from './bed.js'
import { agentAndStock } from './mixed.js'
import { unless } from './requirements.js'
import { answers } from './stock.js'
import { exchange } from './traffic.js'

const options = { skip: unless('wireguard-go', 'wg'), timeout: 180_000 }
/** Past the renewal, whose moment has a little jitter, with a margin. */
const load = { packetsPerSecond: 200, size: 200, seconds: 128 }

async function losesNothing(
  t: Parameters<typeof makeBed>[0],
  a: Namespace,
  b: Namespace,
): Promise<void> {
  const reports = await exchange(
    { namespace: a, address: overlayA },
    { namespace: b, address: overlayB },
    load,
  )
  const sent = load.packetsPerSecond * load.seconds
  for (const [index, report] of reports.entries()) {
    const end = index === 0 ? 'our end' : 'the other end'
    t.match(report, { sent, expected: sent, missing: [] }, `${end} got every packet`)
    t.match(
      report,
      { received: sent, duplicates: 0, reordered: 0 },
      `${end} got each once, in order`,
    )
  }
}

t.jobs = 3

void t.test('two agents renew their session and lose no packet', options, async (t) => {
  const bed = await makeBed(t)
  const { a, b } = await twoAgents(bed, await bed.pair())
  t.ok(await answers(a.namespace, overlayB, 10))
  await losesNothing(t, a.namespace, b.namespace)
  const { latestHandshakeMs } = await peerOf(a, 'b')
  t.ok((latestHandshakeMs ?? Infinity) < 30_000, 'the session is a new one')
})

for (const weBegin of [true, false]) {
  const who = weBegin ? 'we renew' : 'wireguard-go renews'
  void t.test(`${who} the session between us and no packet is lost`, options, async (t) => {
    const bed = await makeBed(t)
    const pair = await bed.pair()
    const { agent, stock } = await agentAndStock(bed, pair, {
      weKnowTheEndpoint: weBegin,
      itKnowsTheEndpoint: !weBegin,
    })
    const [from, to] = weBegin ? [pair.a, overlayB] : [pair.b, overlayA]
    t.ok(await answers(from, to, 10))
    const first = await stock.show('latest-handshakes')
    await losesNothing(t, pair.a, pair.b)
    t.not(await stock.show('latest-handshakes'), first, 'the session is a new one')
    const { drops } = await agent.client.status()
    t.same(
      Object.entries(drops).filter(([, count]) => count > 0),
      [],
    )
  })
}
