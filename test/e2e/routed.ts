/** Two agents with a router between them, whose links can be narrowed behind their backs. */
import type { Namespace } from '#src/cli/demo/lab.js'
import { twoAgents } from '../bed/agent.js'
import type { Agent, Duo } from '../bed/agent.js'
import { until } from '../bed/bed.js'
import type { Bed } from '../bed/bed.js'

/** Outer IPv4 and UDP headers, and those of a transport message (whitepaper, 5.4.6). */
const overhead = 20 + 8 + 32
/** How exactly the search ends. */
const step = 16

export type Routed = { readonly duo: Duo; readonly narrow: (mtu: number) => Promise<void> }

/** Two agents with a router between them that forwards at most `mtu` bytes, and tells nobody. */
export async function routed(bed: Bed, mtu: number): Promise<Routed> {
  const [a, router, b] = [
    await bed.namespace('a'),
    await bed.namespace('r'),
    await bed.namespace('b'),
  ]
  const left = await bed.lab.veth(a, router, {
    addressA: '192.0.2.1/24',
    addressB: '192.0.2.254/24',
  })
  const right = await bed.lab.veth(b, router, {
    addressA: '198.51.100.1/24',
    addressB: '198.51.100.254/24',
  })
  await router.exec('sysctl', ['-qw', 'net.ipv4.ip_forward=1'])
  await a.exec('ip', ['route', 'add', 'default', 'via', '192.0.2.254'])
  await b.exec('ip', ['route', 'add', 'default', 'via', '198.51.100.254'])
  // What is too big for one of the router's links vanishes, as it does behind many firewalls.
  for (const end of [a, b]) await dropIcmpErrors(end)
  const narrow = async (size: number): Promise<void> => {
    for (const device of [left.interfaceB, right.interfaceB]) {
      await router.exec('ip', ['link', 'set', device, 'mtu', String(size)])
    }
  }
  await narrow(mtu)
  const duo = await twoAgents(bed, { a, b }, { endpointOfB: '198.51.100.1:51820' })
  return { duo, narrow }
}

async function dropIcmpErrors(end: Namespace): Promise<void> {
  await end.exec('nft', [
    'add table inet mute; add chain inet mute in { type filter hook input priority 0; }; add rule inet mute in icmp type destination-unreachable drop',
  ])
}

async function deviceMtu(agent: Agent): Promise<number> {
  const { stdout } = await agent.namespace.exec('ip', ['-o', 'link', 'show', 'whale0'])
  return Number(/ mtu (\d+) /.exec(stdout)?.[1])
}

/** Waits for the search to end where it should. */
export async function settles(agent: Agent, path: number, patienceMs: number): Promise<number> {
  const largest = path - overhead
  const fits = (mtu: number): boolean => mtu <= largest && mtu > Math.min(largest, 1400) - step
  return until(
    `the inner MTU fits a path of ${path}`,
    async () => {
      const { innerMtu } = await agent.client.status()
      return fits(innerMtu) && (await deviceMtu(agent)) === innerMtu ? innerMtu : undefined
    },
    patienceMs,
  )
}
