/**
 * Rekeying while traffic flows. A session is renewed 120 seconds after it began (whitepaper, section 6.1)
 * and nothing makes it sooner, so all pairs run side by side in real time, every packet counted.
 */
import t from 'tap'
import type { Namespace } from '#src/cli/demo/lab.js'
import { overlayA, overlayB, peerOf, twoAgents } from '../bed/agent.js'
import { makeBed } from '../bed/bed.js'
import { agentAndStock } from './mixed.js'
import type { ExchangeReport } from './programs/exchange.js'
import { unless } from './requirements.js'
import { answers } from './stock.js'
import { exchange } from './traffic.js'

const skip = unless('wireguard-go', 'wg')
const options = { skip, timeout: 200_000 }
/** Past the renewal, whose moment has a little jitter, with a margin. */
const load = { packetsPerSecond: 200, size: 200, seconds: 125 }

type Outcome = {
  readonly connected: boolean
  readonly reports: readonly ExchangeReport[]
  /** Whether the session at the end is another one than at the beginning. */
  readonly renewed: boolean
  readonly drops: Readonly<Record<string, number>>
}

const both = (a: Namespace, b: Namespace): Promise<ExchangeReport[]> =>
  exchange({ namespace: a, address: overlayA }, { namespace: b, address: overlayB }, load)

async function betweenAgents(): Promise<Outcome> {
  const bed = await makeBed(t)
  const { a, b } = await twoAgents(bed, await bed.pair())
  const connected = await answers(a.namespace, overlayB, 60)
  const reports = await both(a.namespace, b.namespace)
  const { latestHandshakeMs } = await peerOf(a, 'b')
  const { drops } = await a.client.status()
  return { connected, reports, renewed: (latestHandshakeMs ?? Infinity) < 60_000, drops }
}

async function withStock(weBegin: boolean): Promise<Outcome> {
  const bed = await makeBed(t)
  const pair = await bed.pair()
  const { agent, stock } = await agentAndStock(bed, pair, {
    weKnowTheEndpoint: weBegin,
    itKnowsTheEndpoint: !weBegin,
  })
  const [from, to] = weBegin ? [pair.a, overlayB] : [pair.b, overlayA]
  const connected = await answers(from, to, 10)
  const first = await stock.show('latest-handshakes')
  const reports = await both(pair.a, pair.b)
  const renewed = (await stock.show('latest-handshakes')) !== first
  return { connected, reports, renewed, drops: (await agent.client.status()).drops }
}

const cases = [
  { name: 'two agents renew their session and lose no packet', run: betweenAgents },
  {
    name: 'we renew a session with wireguard-go and no packet is lost',
    run: () => withStock(true),
  },
  {
    name: 'wireguard-go renews a session with us and no packet is lost',
    run: () => withStock(false),
  },
]

for (const { name, run } of cases) {
  // All begin now; each test waits for its own.
  const outcome = skip === false ? run() : Promise.reject(new Error(skip))
  outcome.catch(() => undefined)
  void t.test(name, options, async (t) => {
    const { connected, reports, renewed, drops } = await outcome
    t.ok(connected, 'there was a session')
    const sent = load.packetsPerSecond * load.seconds
    for (const [index, report] of reports.entries()) {
      const end = index === 0 ? 'our end' : 'the other end'
      t.match(report, { sent, expected: sent, missing: [] }, `${end} got every packet`)
      t.match(report, { received: sent, duplicates: 0, reordered: 0 }, `${end} got each once`)
    }
    t.ok(renewed, 'the session is a new one')
    t.same(
      Object.entries(drops).filter(([, count]) => count > 0),
      [],
      'we dropped nothing',
    )
  })
}
