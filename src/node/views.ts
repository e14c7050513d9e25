/**
 * What the agent tells about itself: the shapes that the local API serves and `--json` prints. What is
 * unmeasured is null, never 0. Names end with their unit.
 */
import type { Config, PeerConfig } from '../config/config.js'
import type { Identity, PathStats, PeerState, PeerStats, Stats } from '../native.js'
import type { CachedEndpoint } from '../lkg/store.js'
import type { MeshView } from './mesh-view.js'

/** Version of every shape below; it grows when a field changes its meaning or goes. */
export const schemaVersion = 1

export type MembershipState = MeshView['members'][number]['state']

/** An address at which a peer is tried, and who named it. */
export type CandidateView = { readonly endpoint: string; readonly source: string }

/** What the mesh knows of a peer. */
export type MemberView = Omit<MeshView['members'][number], 'nodeId'> & {
  /** Where it is tried, best first. */
  readonly candidates: readonly CandidateView[]
}

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
  /** Null for a stock peer, and until the mesh runs. */
  mesh: MemberView | null
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
  stateDir: string
  /** Null until the mesh runs. Anchors are named as in the configuration. */
  mesh: Omit<MeshView, 'members'> | null
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

export type LkgView = {
  schema: typeof schemaVersion
  /** Of this node's own record. */
  sequence: number
  peers: {
    name: string
    nodeId: string
    anchor: boolean
    /** ISO 8601, as all instants here. */
    lastSuccess: string | null
    hasRecord: boolean
    endpoints: (Omit<CachedEndpoint, 'lastSuccess'> & { lastSuccess: string | null })[]
  }[]
}

export type CheckView = {
  schema: typeof schemaVersion
  peer: string
  via: string | null
  roundTripMs: number
}

/** What the views are made of. */
export type Snapshot = {
  readonly config: Config
  readonly identity: Identity
  readonly stats: Stats
  readonly uptimeMs: number
  readonly eventsDropped: number
  readonly mesh: MeshView | null
  readonly candidates: (nodeId: string) => readonly CandidateView[] | null
}

function statsOf(stats: Stats, peer: PeerConfig): PeerStats | undefined {
  return stats.peers.find(({ id }) => id === peer.id)
}

/** The configured prefixes, and the address that a node id brings with it. */
function allowedIps(peer: PeerConfig, stats: PeerStats | undefined): readonly string[] {
  const derived = stats?.overlayIpv6 ?? null
  return derived === null ? peer.allowedIps : [...peer.allowedIps, `${derived}/128`]
}

function memberView(peer: PeerConfig, { mesh, candidates }: Snapshot): MemberView | null {
  const member = mesh?.members.find(({ nodeId }) => nodeId === peer.nodeId)
  if (member === undefined) return null
  const { nodeId, ...known } = member
  return { ...known, candidates: candidates(nodeId) ?? [] }
}

function peerView(peer: PeerConfig, snapshot: Snapshot): PeerView {
  const stats = statsOf(snapshot.stats, peer)
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
    mesh: memberView(peer, snapshot),
  }
}

export function peersView(snapshot: Snapshot): PeersView {
  const peers = snapshot.config.peers.map((peer) => peerView(peer, snapshot))
  return { schema: schemaVersion, peers }
}

function meshOf({ mesh, config, identity }: Snapshot): StatusView['mesh'] {
  if (mesh === null) return null
  const { anchors, phase, sequence, endpoints, health, rejections } = mesh
  const named = (ids: readonly string[]): string[] =>
    ids.map((id) =>
      id === identity.nodeId
        ? (config.name ?? id)
        : (config.peers.find((peer) => peer.id === id)?.name ?? id),
    )
  const [live, recommended] = [named(anchors.live), named(anchors.recommended)]
  const byName = { ...anchors, live, recommended }
  return { phase, sequence, endpoints, health, anchors: byName, rejections }
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
    stateDir: config.stateDir,
    mesh: meshOf(snapshot),
    peers: peersView(snapshot).peers,
  }
}

export function pathsView({ config, stats }: Snapshot): PathsView {
  return {
    schema: schemaVersion,
    peers: config.peers.map((peer) => {
      const measured = statsOf(stats, peer)
      // Nothing is bonded towards a stock peer, so nothing of it is counted.
      const bond = peer.nodeId === null ? undefined : measured
      return {
        name: peer.name,
        nodeId: peer.nodeId,
        wireguardPublicKey: peer.wireguardPublicKey,
        state: measured?.state ?? 'idle',
        innerMtu: measured?.innerMtu ?? stats.innerMtu,
        scheduler: config.scheduler,
        reorderHeld: bond?.reorderHeld ?? null,
        reorderTimeouts: bond?.reorderTimeouts ?? null,
        repaired: bond?.repaired ?? null,
        duplicates: bond?.duplicates ?? null,
        late: bond?.late ?? null,
        paths: measured?.paths ?? [],
      }
    }),
  }
}
