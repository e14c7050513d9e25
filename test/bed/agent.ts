/** Real agents: keys made by `whalescale keygen`, configurations in TOML, started by `whalescale up`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from '#src/api/client.js'
import { WhalescaleError } from '#src/errors.js'
import type { Identity } from '#src/native.js'
import type { PeerView } from '#src/node/views.js'
import type { LabProcess, Namespace } from '#src/cli/demo/lab.js'
import { entry, until, whalescale } from './bed.js'
import type { Bed } from './bed.js'

type PeerPlan = {
  readonly name: string
  readonly nodeId?: string
  readonly wireguardPublicKey?: string
  readonly endpoints?: readonly string[]
  readonly allowedIps?: readonly string[]
  readonly presharedKeyFile?: string
  readonly keepaliveSeconds?: number
  readonly anchor?: boolean
}

export type NodePlan = {
  readonly addresses: readonly string[]
  readonly mtu?: number
  readonly anchor?: boolean
  readonly listenPort?: number
  readonly interface?: string
  readonly metered?: readonly string[]
  readonly excluded?: readonly string[]
  readonly peers: readonly PeerPlan[]
}

export type NodeFiles = {
  readonly name: string
  readonly namespace: Namespace
  readonly directory: string
  readonly identity: Identity
  readonly keyFile: string
  readonly configFile: string
  readonly controlSocket: string
}

export type Agent = NodeFiles & { readonly process: LabProcess; readonly client: Client }

export const port = 51820

/** Makes a node's key with `whalescale keygen`. */
export async function makeNode(bed: Bed, namespace: Namespace, name: string): Promise<NodeFiles> {
  const file = (suffix: string): string => join(bed.directory, `${name}.${suffix}`)
  const keyFile = file('key')
  const made = await whalescale(namespace, ['keygen', '--out', keyFile, '--json'])
  if (made.code !== 0) throw new Error(`keygen: ${made.stderr}`)
  const identity = JSON.parse(made.stdout) as Identity
  const { directory } = bed
  const [configFile, controlSocket] = [file('toml'), file('sock')]
  return { name, namespace, directory, identity, keyFile, configFile, controlSocket }
}

const quoted = (text: string): string => JSON.stringify(text)
const list = (texts: readonly string[]): string => `[${texts.map(quoted).join(', ')}]`

/** The configuration of a node as its owner would write it. */
export function toml(node: NodeFiles, plan: NodePlan): string {
  const given = (key: string, value: string | number | boolean | undefined): string[] =>
    value === undefined ? [] : [`${key} = ${typeof value === 'string' ? quoted(value) : value}`]
  const lines = [
    '[node]',
    `name = ${quoted(node.name)}`,
    `private_key_file = ${quoted(node.keyFile)}`,
    `addresses = ${list(plan.addresses)}`,
    `listen_port = ${plan.listenPort ?? port}`,
    ...given('interface', plan.interface),
    ...given('mtu', plan.mtu),
    ...given('anchor', plan.anchor),
    `state_dir = ${quoted(join(node.directory, `${node.name}.state`))}`,
    `control_socket = ${quoted(node.controlSocket)}`,
  ]
  if (plan.metered !== undefined || plan.excluded !== undefined) {
    const { metered = [], excluded = [] } = plan
    lines.push('', '[paths]', `metered = ${list(metered)}`, `exclude = ${list(excluded)}`)
  }
  for (const peer of plan.peers) {
    lines.push(
      '',
      '[[peer]]',
      `name = ${quoted(peer.name)}`,
      ...given('node_id', peer.nodeId),
      ...given('wireguard_public_key', peer.wireguardPublicKey),
      `endpoints = ${list(peer.endpoints ?? [])}`,
      `allowed_ips = ${list(peer.allowedIps ?? [])}`,
      ...given('preshared_key_file', peer.presharedKeyFile),
      ...given('persistent_keepalive_s', peer.keepaliveSeconds),
      ...given('anchor', peer.anchor),
    )
  }
  return `${lines.join('\n')}\n`
}

export function configure(node: NodeFiles, plan: NodePlan): void {
  writeFileSync(node.configFile, toml(node, plan), { mode: 0o600 })
}

/**
 * Runs `whalescale up` and waits until its API answers.
 * @param launcher a program with arguments that runs the rest of its arguments
 */
export async function up(node: NodeFiles, launcher: readonly string[] = []): Promise<Agent> {
  const [command, ...args] = [...launcher, process.execPath, entry, 'up', node.configFile]
  const running = node.namespace.spawn(command, args)
  const client = new Client(node.controlSocket)
  await until(`agent ${node.name} answers`, async () => {
    if (running.child.exitCode !== null) {
      const { stdout, stderr } = running.output()
      throw new Error(`agent ${node.name} ended: ${stdout}${stderr}`)
    }
    try {
      return await client.status()
    } catch (error) {
      if (error instanceof WhalescaleError && error.code === 'NotRunning') return undefined
      throw error
    }
  })
  return { ...node, process: running, client }
}

export async function peerOf(agent: Agent, name: string): Promise<PeerView> {
  const { peers } = await agent.client.peers()
  const peer = peers.find((candidate) => candidate.name === name)
  if (peer === undefined) throw new Error(`agent ${agent.name} has no peer ${name}`)
  return peer
}

export type Duo = { readonly a: Agent; readonly b: Agent }

/** What two agents of a pair do otherwise than usual. */
export type DuoOptions = {
  readonly endpointOfA?: string
  readonly endpointOfB?: string
  readonly mtu?: number
  /** Interfaces of `a`. */
  readonly meteredA?: readonly string[]
  readonly excludedA?: readonly string[]
  readonly launcherA?: readonly string[]
}

export const overlayA = '10.88.0.1'
export const overlayB = '10.88.0.2'

/** Two agents that know each other: `a` seeks `b`, which waits unless it is told where `a` is. */
export async function twoAgents(
  bed: Bed,
  namespaces: { readonly a: Namespace; readonly b: Namespace },
  options: DuoOptions = {},
): Promise<Duo> {
  const [a, b] = await Promise.all([
    makeNode(bed, namespaces.a, 'a'),
    makeNode(bed, namespaces.b, 'b'),
  ])
  const endpoints = (endpoint: string | undefined): readonly string[] =>
    endpoint === undefined ? [] : [endpoint]
  const mtu = options.mtu === undefined ? {} : { mtu: options.mtu }
  const peerB = {
    name: 'b',
    nodeId: b.identity.nodeId,
    endpoints: [options.endpointOfB ?? '192.0.2.2:51820'],
    allowedIps: [`${overlayB}/32`],
  }
  const peerA = {
    name: 'a',
    nodeId: a.identity.nodeId,
    endpoints: endpoints(options.endpointOfA),
    allowedIps: [`${overlayA}/32`],
  }
  const paths = { metered: options.meteredA ?? [], excluded: options.excludedA ?? [] }
  configure(a, { addresses: [`${overlayA}/24`], peers: [peerB], ...paths, ...mtu })
  configure(b, { addresses: [`${overlayB}/24`], peers: [peerA], ...mtu })
  const [runningA, runningB] = await Promise.all([up(a, options.launcherA), up(b)])
  return { a: runningA, b: runningB }
}
