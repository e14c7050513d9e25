/**
 * What the agent tells about itself: the shapes that the local API serves and `--json` prints. What is
 * unmeasured is null, never 0. Names end with their unit.
 */
import type { Config, PeerConfig } from '../config/config.js'
import type { Identity, PathStats, PeerState, PeerStats, Stats } from '../native.js'

/** Version of every shape below; it grows when a field changes its meaning or goes. */
export const schemaVersion = 1

export type PeerView = {
  name: string
  nodeId: string | null
  wireguardPublicKey: string
  state: PeerState
  endpoint: string | null
  allowedIps: readonly string[]
  anchor: boolean
  persistentKeepaliveS: number | null
  latestHandshakeMs: number | null
  handshakeMs: number | null
  txBytes: number
  rxBytes: number
  txPackets: number
  rxPackets: number
}

export type StatusView = {
  schema: typeof schemaVersion
  name: string | null
  nodeId: string
  wireguardPublicKey: string
  overlayIpv6: string
  pid: number
  uptimeMs: number
  interface: string
  addresses: readonly string[]
  listenPort: number
  innerMtu: number
  aead: string
  aeadAvailable: readonly string[]
  ipsecMbUnavailable: string | null
  tun: Stats['tun']
  udp: Stats['udp']
  drops: Stats['drops']
  eventsDropped: number
  peers: PeerView[]
}

export type PeersView = { schema: typeof schemaVersion; peers: PeerView[] }

export type PathsView = {
  schema: typeof schemaVersion
  peers: {
    name: string
    nodeId: string | null
    wireguardPublicKey: string
    state: PeerState
    innerMtu: number
    scheduler: string
    reorderHeld: number | null
    reorderTimeouts: number | null
    repaired: number | null
    duplicates: number | null
    late: number | null
    paths: PathStats[]
  }[]
}

/** What the views are made of. */
export type Snapshot = {
  readonly config: Config
  readonly identity: Identity
  readonly stats: Stats
  readonly uptimeMs: number
  readonly eventsDropped: number
}

function statsOf(stats: Stats, peer: PeerConfig): PeerStats | undefined {
  return stats.peers.find(({ id }) => id === peer.id)
}

/** The configured prefixes, and the address that a node id brings with it. */
function allowedIps(peer: PeerConfig, stats: PeerStats | undefined): readonly string[] {
  const derived = stats?.overlayIpv6 ?? null
  return derived === null ? peer.allowedIps : [...peer.allowedIps, `${derived}/128`]
}

function peerView(peer: PeerConfig, stats: PeerStats | undefined): PeerView {
  return {
    name: peer.name,
    nodeId: peer.nodeId,
    wireguardPublicKey: peer.wireguardPublicKey,
    state: stats?.state ?? 'idle',
    endpoint: stats?.endpoint ?? null,
    allowedIps: allowedIps(peer, stats),
    anchor: peer.anchor,
    persistentKeepaliveS: peer.persistentKeepaliveS,
    latestHandshakeMs: stats?.latestHandshakeMs ?? null,
    handshakeMs: stats?.handshakeMs ?? null,
    txBytes: stats?.txBytes ?? 0,
    rxBytes: stats?.rxBytes ?? 0,
    txPackets: stats?.txPackets ?? 0,
    rxPackets: stats?.rxPackets ?? 0,
  }
}

export function peersView({ config, stats }: Snapshot): PeersView {
  const peers = config.peers.map((peer) => peerView(peer, statsOf(stats, peer)))
  return { schema: schemaVersion, peers }
}

export function statusView(snapshot: Snapshot): StatusView {
  const { config, identity, stats, uptimeMs, eventsDropped } = snapshot
  return {
    schema: schemaVersion,
    name: config.name,
    ...identity,
    pid: process.pid,
    uptimeMs,
    interface: stats.tun.name,
    addresses: [...config.addresses, `${identity.overlayIpv6}/128`],
    listenPort: stats.port,
    innerMtu: stats.innerMtu,
    aead: stats.aead,
    aeadAvailable: stats.aeadAvailable,
    ipsecMbUnavailable: stats.ipsecMbUnavailable,
    tun: stats.tun,
    udp: stats.udp,
    drops: stats.drops,
    eventsDropped,
    peers: peersView(snapshot).peers,
  }
}

export function pathsView({ config, stats }: Snapshot): PathsView {
  return {
    schema: schemaVersion,
    peers: config.peers.map((peer) => {
      const measured = statsOf(stats, peer)
      return {
        name: peer.name,
        nodeId: peer.nodeId,
        wireguardPublicKey: peer.wireguardPublicKey,
        state: measured?.state ?? 'idle',
        innerMtu: measured?.innerMtu ?? stats.innerMtu,
        scheduler: config.scheduler,
        reorderHeld: measured?.reorderHeld ?? null,
        reorderTimeouts: measured?.reorderTimeouts ?? null,
        repaired: measured?.repaired ?? null,
        duplicates: measured?.duplicates ?? null,
        late: measured?.late ?? null,
        paths: measured?.paths ?? [],
      }
    }),
  }
}
