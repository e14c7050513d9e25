/**
 * What carries a flow over the links: Whalescale, kernel MPTCP, or nothing but TCP.
 * Invariant: a carrier is told the links' names and addresses, never their rates or delays.
 */
import { mkdir } from 'node:fs/promises'

import type { Namespace } from '#src/cli/demo/lab.js'
import { startAgents } from '../peers/agents.js'
import { INNER, type Pair } from '../peers/peer.js'
import { answersPing, settle } from '../peers/settle.js'
import { device, linkAddress } from './emulator.js'
import type { Route } from './flows.js'

export const SCHEDULERS = ['auto', 'edpf', 'wrr', 'minrtt', 'redundant'] as const
export type Scheduler = (typeof SCHEDULERS)[number]

export interface Carried {
  readonly route: Route
  /** What the agent said of its paths, when there is an agent. */
  describe(): Promise<unknown>
  stop(): Promise<void>
}

/** `links` is how many there are. */
export type Carrier = (pair: Pair, links: number) => Promise<Carried>

const indices = (links: number): number[] => [...Array(links).keys()]

export function whalescale(scheduler: Scheduler): Carrier {
  return async (pair, links) => {
    await mkdir(pair.directory, { mode: 0o700 })
    const interfaces = indices(links).map((i) => `"${device(i)}"`)
    const agents = await startAgents(pair, {
      addresses: {
        a: indices(links).map((i) => linkAddress('a', i)),
        b: indices(links).map((i) => linkAddress('b', i)),
      },
      node: ['mtu = "auto"'],
      tables: [
        '[paths]',
        `interfaces = [${interfaces.join(', ')}]`,
        '[multipath]',
        `scheduler = "${scheduler}"`,
      ],
    })
    try {
      await settle('an answered ping', agents.agents, () => answersPing(pair.a, INNER.b))
    } catch (error) {
      await agents.stop()
      throw error
    }
    return {
      route: { ...pair, address: INNER.b, wrapper: [] },
      describe: () => agents.describePaths(),
      stop: () => agents.stop(),
    }
  }
}

/** TCP on the bare link. */
export const plainTcp: Carrier = ({ a, b }) =>
  Promise.resolve({
    route: { a, b, address: linkAddress('b', 0), wrapper: [] },
    describe: () => Promise.resolve(null),
    stop: () => Promise.resolve(),
  })

/** B announces the addresses of its further links, and A joins each over its own: one subflow per link. */
export const mptcp: Carrier = async ({ a, b }, links) => {
  const further = indices(links).slice(1)
  for (const end of [a, b]) await limitSubflows(end, further.length)
  for (const i of further) {
    const endpoint = [linkAddress('b', i), 'dev', device(i), 'signal']
    await b.exec('ip', ['mptcp', 'endpoint', 'add', ...endpoint])
  }
  return {
    route: { a, b, address: linkAddress('b', 0), wrapper: ['mptcpize', 'run'] },
    describe: () => Promise.resolve(null),
    async stop() {
      for (const end of [a, b]) await end.exec('ip', ['mptcp', 'endpoint', 'flush'])
    },
  }
}

async function limitSubflows(end: Namespace, further: number): Promise<void> {
  const limits = ['subflows', String(further), 'add_addr_accepted', String(further)]
  await end.exec('ip', ['mptcp', 'endpoint', 'flush'])
  await end.exec('ip', ['mptcp', 'limits', 'set', ...limits])
}
