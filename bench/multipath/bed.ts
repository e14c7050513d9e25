/**
 * The two hosts of the bench, and one run on them.
 * Invariant: every run starts from nothing: new links, new agents, no TCP metrics kept from the run before.
 */
import { join } from 'node:path'

import type { Lab, Namespace } from '#src/cli/demo/lab.js'
import type { Pair } from '../peers/peer.js'
import type { Carried, Carrier } from './carriers.js'
import { startEmulator, type Emulator, type Link } from '#src/cli/demo/emulator.js'
import { joinHosts, makeHosts, removeRules, type Topology } from './underlay.js'

export type CongestionControl = 'cubic' | 'bbr'

/** One run: what the links are, what carries the traffic over them. */
interface Setup {
  readonly links: readonly Link[]
  readonly topology: Topology
  readonly seed: number
  readonly congestionControl: CongestionControl
  readonly carrier: Carrier
}

export interface Bed {
  /** Builds the setup, measures, and takes it down, whatever happened. */
  run<T>(setup: Setup, measure: (carried: Carried, emulator: Emulator) => Promise<T>): Promise<T>
}

/** Room for the largest bandwidth-delay product of the grid, for every contestant alike. */
const BUFFER_BYTES = 32 * 1024 * 1024
const TCP_SETTINGS = [
  'net.ipv4.tcp_no_metrics_save=1',
  `net.ipv4.tcp_rmem=4096 131072 ${BUFFER_BYTES}`,
  `net.ipv4.tcp_wmem=4096 16384 ${BUFFER_BYTES}`,
]

export async function makeBed(lab: Lab, directory: string): Promise<Bed> {
  const hosts = await makeHosts(lab)
  const { a, b, router } = hosts
  for (const end of [a, b]) await end.exec('sysctl', ['-q', '-w', ...TCP_SETTINGS])
  let runs = 0
  return {
    async run({ links, topology, seed, congestionControl, carrier }, measure) {
      const pair: Pair = { a, b, directory: join(directory, String(runs++)) }
      const far = topology === 'pairs' ? b : router
      const emulator = await startEmulator(a, far, links, seed)
      try {
        const underlay = await joinHosts(hosts, topology, links.length)
        const carried = await carrier(pair, underlay)
        try {
          await chooseCongestionControl(a, congestionControl)
          return await measure(carried, emulator)
        } finally {
          await carried.stop()
        }
      } finally {
        await emulator.stop()
        await removeRules(hosts, topology, links.length)
      }
    },
  }
}

/**
 * By the routes, so that every flow has it, whatever carries it, and however it opens its sockets. The namespace's
 * default cannot be set where the kernel restricts the algorithm to the host.
 */
async function chooseCongestionControl(sender: Namespace, name: CongestionControl): Promise<void> {
  const { stdout } = await sender.exec('ip', ['-4', 'route', 'show', 'table', 'all'])
  for (const route of stdout.split('\n').filter((line) => line.trim() !== '')) {
    // The flags are shown, but not taken back.
    const words = route
      .trim()
      .split(/\s+/)
      .filter((word) => word !== 'linkdown')
    await sender.exec('ip', ['route', 'change', ...words, 'congctl', name])
  }
}
