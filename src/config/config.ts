/**
 * The configuration as the program uses it: paths absolute, keys resolved, prefixes canonical.
 * Plain data, so that it crosses to a re-executed process as JSON.
 */
import { resolve } from 'node:path'
import { parseEndpoint } from './endpoint.js'
import type { Endpoint } from './endpoint.js'
import { wireguardKeyOfNodeId } from './identity.js'
import { canonical, parsePrefix } from './prefix.js'
import type { ConfigFile } from './schema.js'

export type PeerConfig = {
  /** Node id, or the WireGuard public key of a stock peer: how the addon names the peer. */
  readonly id: string
  /** For people; the id when the file gives no name. */
  readonly name: string
  readonly nodeId: string | null
  readonly wireguardPublicKey: string
  readonly endpoints: readonly Endpoint[]
  /** Canonical prefixes. */
  readonly allowedIps: readonly string[]
  readonly anchor: boolean
  readonly presharedKeyFile: string | null
  readonly persistentKeepaliveS: number | null
}

export type Config = {
  /** Absolute path of the file. */
  readonly file: string
  readonly name: string | null
  readonly privateKeyFile: string
  /** As written: the host bits are the address, the length its on-link prefix. */
  readonly addresses: readonly string[]
  readonly interface: string
  readonly anchor: boolean
  readonly metadata: Readonly<Record<string, string>>
  readonly listenPort: number
  readonly mtu: number | 'auto'
  readonly aead: string
  readonly stateDir: string
  readonly controlSocket: string
  readonly scheduler: string
  /** Packets that the reordering buffer of one peer holds at most. */
  readonly depth: number | 'auto'
  /** Names of interfaces; `auto` is every one that is fit. */
  readonly paths: {
    readonly interfaces: readonly string[]
    readonly exclude: readonly string[]
    readonly metered: readonly string[]
  }
  readonly peers: readonly PeerConfig[]
}

/** The image of a peer's key, whichever way the file names it; undefined when it names none well. */
export function imageOfPeer(peer: ConfigFile['peer'][number]): string | undefined {
  if (peer.node_id === undefined) return peer.wireguard_public_key
  const result = wireguardKeyOfNodeId(peer.node_id)
  return 'key' in result ? result.key : undefined
}

function present<Value>(value: Value | undefined): value is Value {
  return value !== undefined
}

function peerOf(peer: ConfigFile['peer'][number], base: string): PeerConfig {
  const id = peer.node_id ?? peer.wireguard_public_key ?? ''
  return {
    id,
    name: peer.name ?? id,
    nodeId: peer.node_id ?? null,
    wireguardPublicKey: imageOfPeer(peer) ?? '',
    endpoints: peer.endpoints.map(parseEndpoint).filter(present),
    allowedIps: peer.allowed_ips.map(parsePrefix).filter(present).map(canonical),
    anchor: peer.anchor,
    presharedKeyFile:
      peer.preshared_key_file === undefined ? null : resolve(base, peer.preshared_key_file),
    persistentKeepaliveS: peer.persistent_keepalive_s ?? null,
  }
}

/** @param written a file that passed the schema and the rules */
export function configOf(written: ConfigFile, file: string): Config {
  const base = resolve(file, '..')
  const { node } = written
  return {
    file: resolve(file),
    name: node.name ?? null,
    privateKeyFile: resolve(base, node.private_key_file),
    addresses: node.addresses.map((address) =>
      address.includes('/') ? address : `${address}/${address.includes(':') ? 128 : 32}`,
    ),
    interface: node.interface,
    anchor: node.anchor,
    metadata: node.metadata,
    listenPort: node.listen_port,
    mtu: node.mtu,
    aead: node.aead,
    stateDir: resolve(base, node.state_dir),
    controlSocket: resolve(base, node.control_socket),
    scheduler: written.multipath.scheduler,
    depth: written.multipath.depth,
    paths: written.paths,
    peers: written.peer.map((peer) => peerOf(peer, base)),
  }
}
