/** Real agents inside the namespaces of a lab: their keys, configurations and processes. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from '../../api/client.js'
import { ExitCode, WhalescaleError } from '../../errors.js'
import { loadNative } from '../../native.js'
import type { Identity } from '../../native.js'
import type { LabProcess, Namespace } from './lab.js'

/** The program's entry, to be run by `process.execPath`. */
const entry = fileURLToPath(new URL('../main.js', import.meta.url))

const pollMs = 10
const patienceMs = 15_000

export type NodePlan = {
  readonly name: string
  readonly namespace: Namespace
  /** Overlay address with prefix length. */
  readonly address: string
  /** Where the other side reaches it. */
  readonly endpoints: readonly string[]
  readonly listenPort: number
  /** What its paths start from; without it, every interface. */
  readonly interfaces?: readonly string[]
}

export type NodeFiles = NodePlan & {
  readonly identity: Identity
  readonly keyFile: string
  readonly configFile: string
  readonly controlSocket: string
}

export type RunningNode = NodeFiles & { readonly process: LabProcess; readonly client: Client }

/** Makes the key of a node in a directory. */
export function makeKey(directory: string, plan: NodePlan): NodeFiles {
  const file = (suffix: string): string => join(directory, `${plan.name}.${suffix}`)
  const keyFile = file('key')
  return {
    ...plan,
    identity: loadNative().keygen(keyFile),
    keyFile,
    configFile: file('toml'),
    controlSocket: file('sock'),
  }
}

/** Writes a configuration that knows the peers by their node id. */
export async function writeConfig(
  directory: string,
  node: NodeFiles,
  peers: readonly NodeFiles[],
): Promise<void> {
  const quoted = (text: string): string => JSON.stringify(text)
  const list = (texts: readonly string[]): string => `[${texts.map(quoted).join(', ')}]`
  const own = [
    '[node]',
    `name = ${quoted(node.name)}`,
    `private_key_file = ${quoted(node.keyFile)}`,
    `addresses = ${list([node.address])}`,
    `listen_port = ${node.listenPort}`,
    `state_dir = ${quoted(join(directory, `${node.name}.state`))}`,
    `control_socket = ${quoted(node.controlSocket)}`,
    ...(node.interfaces === undefined ? [] : ['[paths]', `interfaces = ${list(node.interfaces)}`]),
  ]
  const others = peers.flatMap((peer) => [
    '',
    '[[peer]]',
    `name = ${quoted(peer.name)}`,
    `node_id = ${quoted(peer.identity.nodeId)}`,
    `endpoints = ${list(peer.endpoints)}`,
    `allowed_ips = ${list([`${peer.address.split('/')[0] ?? ''}/32`])}`,
  ])
  await writeFile(node.configFile, `${[...own, ...others].join('\n')}\n`, { mode: 0o600 })
}

/** Starts `up` and waits until its local API answers. @throws WhalescaleError with its output */
export async function startNode(node: NodeFiles): Promise<RunningNode> {
  const running = node.namespace.spawn(process.execPath, [entry, 'up', node.configFile])
  const client = new Client(node.controlSocket)
  const deadline = performance.now() + patienceMs
  for (;;) {
    try {
      await client.status()
      return { ...node, process: running, client }
    } catch (error) {
      const starting = error instanceof WhalescaleError && error.exitCode === ExitCode.notRunning
      if (!starting) throw error
    }
    const { exitCode, signalCode } = running.child
    const ended = exitCode !== null || signalCode !== null
    if (ended || performance.now() > deadline) {
      const { stdout, stderr } = running.output()
      throw new WhalescaleError(`agent ${node.name} did not start: ${stdout}${stderr}`.trim(), {
        code: 'AgentFailed',
      })
    }
    await delay(pollMs)
  }
}
