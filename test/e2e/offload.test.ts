/** Kernels that refuse an offload: the tunnel carries the same data, and `status` says what is in use. */
import t from 'tap'
import type { Test } from 'tap'
import { overlayA, overlayB, twoAgents } from '../bed/agent.js'
import { makeBed } from '../bed/bed.js'
import { compile } from './programs.js'
import { unless } from './requirements.js'
import { ping, stream } from './traffic.js'

const options = { skip: unless('cc', 'ethtool'), timeout: 200_000 }
const bytes = 16 << 20

type Refusal = {
  readonly what: string
  readonly refuse: string
  /** What the agent that is refused says is in use. */
  readonly inUse: { readonly tun?: object; readonly udp?: object }
}

const refusals: readonly Refusal[] = [
  { what: 'UDP_GRO', refuse: 'udp-gro', inUse: { udp: { gro: false, gso: true } } },
  { what: 'UDP_SEGMENT', refuse: 'udp-segment', inUse: { udp: { gro: true, gso: false } } },
  { what: 'TUNSETOFFLOAD', refuse: 'tun-offload', inUse: { tun: { tso: false, uso: false } } },
]

/** Both ways, compared; through the refused agent and towards it. */
async function carriesAll(t: Test, { a, b }: Awaited<ReturnType<typeof twoAgents>>): Promise<void> {
  for (const [from, to, address] of [
    [a, b, overlayB],
    [b, a, overlayA],
  ] as const) {
    const { sent, received } = await stream(from.namespace, to.namespace, address, bytes)
    t.equal(received.bytes, bytes)
    t.equal(received.sha256, sent.sha256, `every byte reached ${address} unchanged`)
  }
}

void t.test('with every offload granted, all are in use', options, async (t) => {
  const bed = await makeBed(t)
  const duo = await twoAgents(bed, await bed.pair())
  const { tun, udp } = await duo.a.client.status()
  t.match(tun, { vnetHeader: true, tso: true, uso: true })
  for (const socket of udp) t.match(socket, { gso: true, gro: true })
  await carriesAll(t, duo)
})

for (const { what, refuse, inUse } of refusals) {
  void t.test(
    `without ${what} the tunnel carries the same data and says so`,
    options,
    async (t) => {
      const bed = await makeBed(t)
      const launcherA = [compile(bed, 'refuse'), refuse]
      const duo = await twoAgents(bed, await bed.pair(), { launcherA })
      const { tun, udp } = await duo.a.client.status()
      t.match(tun, inUse.tun ?? { tso: true, uso: true })
      for (const socket of udp) t.match(socket, inUse.udp ?? { gso: true, gro: true })
      await carriesAll(t, duo)
    },
  )
}

void t.test(
  'over a link that computes no checksums the tunnel carries the same data',
  options,
  async (t) => {
    const bed = await makeBed(t)
    const pair = await bed.pair()
    for (const [namespace, link] of [
      [pair.a, pair.linkA],
      [pair.b, pair.linkB],
    ] as const) {
      await namespace.exec('ethtool', ['-K', link, 'tx', 'off'])
    }
    const duo = await twoAgents(bed, pair)
    t.match(await ping(pair.a, overlayB, 1, 100), { received: 1 })
    await carriesAll(t, duo)
    const { peers } = await duo.a.client.paths()
    t.type(peers[0]?.paths[0]?.gso, 'boolean', 'the path says whether it segments')
  },
)
