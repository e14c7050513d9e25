/**
 * How the links join the hosts, and the addresses that follow from it.
 *
 * - `pairs`: every link joins A and B directly, with an address of its own at both ends.
 * - `router`: the links end at a router, and B, behind it, has one address: a laptop and a server. A has a default
 *   route per link, told apart by metric, and by source address for who binds to one.
 *
 * Invariant: what is set up for a run is gone after it: routes with their devices, rules by `removeRules`.
 */
import { device, linkAddress } from '#src/cli/demo/emulator.js'
import type { Lab, Namespace } from '#src/cli/demo/lab.js'

export type Topology = 'pairs' | 'router'

export interface Hosts {
  readonly a: Namespace
  readonly b: Namespace
  readonly router: Namespace
  /** B's device towards the router. */
  readonly serverDevice: string
}

/** What a carrier may know of the network. */
export interface Underlay {
  readonly interfaces: { readonly a: readonly string[]; readonly b: readonly string[] }
  /** Of each host, in the order of the links. */
  readonly addresses: { readonly a: readonly string[]; readonly b: readonly string[] }
  /** Whether B knows where A is. */
  readonly symmetric: boolean
}

const SERVER = { address: '10.211.0.2', gateway: '10.211.0.1' } as const
const TABLE_BASE = 100
const METRIC_BASE = 10

export async function makeHosts(lab: Lab): Promise<Hosts> {
  const [a, b] = [await lab.namespace('a'), await lab.namespace('b')]
  const router = await lab.namespace('r')
  const { interfaceB } = await lab.veth(router, b, {
    addressA: `${SERVER.gateway}/24`,
    addressB: `${SERVER.address}/24`,
  })
  await router.exec('sysctl', ['-q', '-w', 'net.ipv4.ip_forward=1'])
  await b.exec('ip', ['route', 'add', '10.210.0.0/16', 'via', SERVER.gateway])
  return { a, b, router, serverDevice: interfaceB }
}

/** Routes and rules of A for links that are up. */
export async function joinHosts(
  { a, serverDevice }: Hosts,
  topology: Topology,
  links: number,
): Promise<Underlay> {
  const indices = [...Array(links).keys()]
  const devices = indices.map(device)
  const near = indices.map((i) => linkAddress('near', i))
  if (topology === 'pairs') {
    const far = indices.map((i) => linkAddress('far', i))
    return {
      interfaces: { a: devices, b: devices },
      addresses: { a: near, b: far },
      symmetric: true,
    }
  }
  for (const i of indices) {
    const table = String(TABLE_BASE + i)
    const hop = ['default', 'via', linkAddress('far', i), 'dev', device(i)]
    await a.exec('ip', ['route', 'add', ...hop, 'metric', String(METRIC_BASE + i)])
    await a.exec('ip', ['route', 'add', ...hop, 'table', table])
    await a.exec('ip', ['rule', 'add', 'from', linkAddress('near', i), 'lookup', table])
  }
  return {
    interfaces: { a: devices, b: [serverDevice] },
    addresses: { a: near, b: [SERVER.address] },
    symmetric: false,
  }
}

export async function removeRules({ a }: Hosts, topology: Topology, links: number): Promise<void> {
  if (topology === 'pairs') return
  for (let i = 0; i < links; i++) {
    await a.exec('ip', ['rule', 'del', 'from', linkAddress('near', i)])
  }
}
