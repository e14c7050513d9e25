/** Two agents joined by several links, each with a subnet of its own, that come and go. */
import type { Namespace } from '#src/cli/demo/lab.js'
import type { PathsView } from '#src/node/views.js'
import { twoAgents } from '../bed/agent.js'
import type { Agent, Duo, DuoOptions } from '../bed/agent.js'
import { until } from '../bed/bed.js'
import type { Bed } from '../bed/bed.js'

type Path = PathsView['peers'][number]['paths'][number]

export type Ends = { readonly a: Namespace; readonly b: Namespace }
export type Link = {
  /** Of both ends. */
  readonly device: string
  readonly subnet: string
  readonly mtu?: number
  /** The first 64 bits, for an IPv6 address beside the IPv4 one. */
  readonly prefix?: string
}

export const first: Link = { device: 'wan1', subnet: '192.0.2' }
export const second: Link = { device: 'wan2', subnet: '198.51.100' }

/** Address `a` has on a link; `b` has the next one. */
export const localOf = ({ subnet }: Link): string => `${subnet}.1`
export const remoteOf = ({ subnet }: Link): string => `${subnet}.2`

async function makeEnds(bed: Bed, links: readonly Link[]): Promise<Ends> {
  const ends = { a: await bed.namespace('a'), b: await bed.namespace('b') }
  for (const link of links) await join(ends, link)
  return ends
}

/** Adds a link between two namespaces and brings it up. */
export async function join({ a, b }: Ends, link: Link): Promise<void> {
  const { device } = link
  const peer = ['peer', 'name', device, 'netns', b.name]
  await a.exec('ip', ['link', 'add', device, 'type', 'veth', ...peer])
  const mtu = link.mtu === undefined ? [] : ['mtu', String(link.mtu)]
  for (const [end, host] of [[a, 1] as const, [b, 2] as const]) {
    const add = ['address', 'add', 'dev', device]
    await end.exec('ip', [...add, `${link.subnet}.${host}/24`])
    if (link.prefix !== undefined)
      await end.exec('ip', [...add, `${link.prefix}::${host}/64`, 'nodad'])
    await end.exec('ip', ['link', 'set', device, ...mtu, 'up'])
  }
}

/** Drops what one end receives on a device and a rule of nft matches, without a word. */
export async function swallow(end: Namespace, device: string, match: string): Promise<void> {
  await end.exec('nft', [
    `add table inet swallow; add chain inet swallow in { type filter hook input priority 0; }; ` +
      `add rule inet swallow in iifname ${device} ${match} drop`,
  ])
}

export async function joined(
  bed: Bed,
  links: readonly Link[],
  options: DuoOptions = {},
): Promise<Duo & { readonly ends: Ends }> {
  const ends = await makeEnds(bed, links)
  return { ...(await twoAgents(bed, ends, options)), ends }
}

/** All paths to the agent's only peer. */
export async function pathsOf(agent: Agent): Promise<readonly Path[]> {
  const { peers } = await agent.client.paths()
  return peers[0]?.paths ?? []
}

/** Waits until the path over a link, from its address at this end, is in one of these states. */
export async function pathIs(
  agent: Agent,
  local: string,
  states: readonly Path['state'][],
  patienceMs?: number,
): Promise<Path> {
  return until(
    `the path from ${local} is ${states.join(' or ')}`,
    async () =>
      (await pathsOf(agent)).find(
        (path) => path.local?.startsWith(`${local}:`) === true && states.includes(path.state),
      ),
    patienceMs,
  )
}

export type LogLine = Readonly<Record<string, unknown>> & {
  /** Milliseconds since 1970. */
  readonly time: number
  readonly msg: string
}

/** What an agent has logged so far. */
export function logOf(agent: Agent): LogLine[] {
  const lines = agent.process.output().stdout.split('\n')
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine)
}
