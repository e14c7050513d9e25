/**
 * What carries a flow over the links: Whalescale, kernel MPTCP, or nothing but TCP.
 * Invariant: a carrier is told the links' names and addresses, never their rates or delays.
 */
import { mkdir } from 'node:fs/promises'

import { run } from '#src/cli/demo/command.js'
import { WhalescaleError } from '#src/errors.js'
import { startAgents } from '../peers/agents.js'
import { INNER, type Pair } from '../peers/peer.js'
import { answersPing, settle } from '../peers/settle.js'
import type { Route } from './flows.js'
import type { Underlay } from './underlay.js'

export const SCHEDULERS = ['edpf', 'wrr', 'minrtt', 'redundant'] as const
export type Scheduler = (typeof SCHEDULERS)[number]

export interface Carried {
  readonly route: Route
  /** What the agent said of its paths, when there is an agent. */
  describe(): Promise<unknown>
  stop(): Promise<void>
}

export type Carrier = (pair: Pair, underlay: Underlay) => Promise<Carried>

export function whalescale(scheduler: Scheduler): Carrier {
  return async (pair, underlay) => {
    await mkdir(pair.directory, { mode: 0o700 })
    const tables = (side: 'a' | 'b'): string[] => [
      '[paths]',
      `interfaces = [${underlay.interfaces[side].map((name) => `"${name}"`).join(', ')}]`,
      '[multipath]',
      `scheduler = "${scheduler}"`,
    ]
    const agents = await startAgents(pair, {
      endpoints: {
        a: underlay.symmetric ? underlay.addresses.a : [],
        b: underlay.addresses.b,
      },
      node: ['mtu = "auto"'],
      tables: { a: tables('a'), b: tables('b') },
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
export const plainTcp: Carrier = ({ a, b }, { addresses }) =>
  Promise.resolve({
    route: { a, b, address: first(addresses.b), wrapper: [] },
    describe: () => Promise.resolve(null),
    stop: () => Promise.resolve(),
  })

/**
 * One subflow per link. Where B has an address per link it announces the further ones, and A joins each over its
 * own link; where it has one, A joins it from each of its addresses.
 */
export const mptcp: Carrier = async ({ a, b }, { interfaces, addresses }) => {
  await requireMptcpize()
  const [joiner, side, flag] =
    addresses.b.length > 1 ? ([b, 'b', 'signal'] as const) : ([a, 'a', 'subflow'] as const)
  const further = String(addresses.a.length - 1)
  for (const end of [a, b]) {
    await end.exec('ip', ['mptcp', 'endpoint', 'flush'])
    const limits = ['subflows', further, 'add_addr_accepted', further]
    await end.exec('ip', ['mptcp', 'limits', 'set', ...limits])
  }
  for (const [i, address] of addresses[side].entries()) {
    const endpoint = [address, 'dev', interfaces[side][i] ?? '', flag]
    if (i > 0) await joiner.exec('ip', ['mptcp', 'endpoint', 'add', ...endpoint])
  }
  return {
    route: { a, b, address: first(addresses.b), wrapper: ['mptcpize', 'run'] },
    describe: () => Promise.resolve(null),
    async stop() {
      for (const end of [a, b]) await end.exec('ip', ['mptcp', 'endpoint', 'flush'])
    },
  }
}

async function requireMptcpize(): Promise<void> {
  try {
    await run('mptcpize', ['--version'])
  } catch (error) {
    throw new WhalescaleError('mptcpize is not installed', {
      code: 'ToolMissing',
      remedy: 'apt-get install mptcpize',
      cause: error,
    })
  }
}

function first(addresses: readonly string[]): string {
  const [address] = addresses
  if (address === undefined) throw new RangeError('a host without an address')
  return address
}
