/** From configuration to commands for the addon. Pure: what is wished, not how it is reached. */
import type { Config, PeerConfig } from '../config/config.js'
import { formatEndpoint } from '../config/endpoint.js'
import type { Endpoint } from '../config/endpoint.js'
import { contains, parsePrefix } from '../config/prefix.js'
import type { Command } from '../native.js'

/** The overlay is one fixed /48: with that length the kernel routes all of it to the device. */
const overlayLength = 48

/** The sockets to have: on which interfaces, and which of these cost money. */
export function socketsCommand(config: Config): Command {
  const { listenPort, paths } = config
  return {
    type: 'Sockets',
    port: listenPort,
    interfaces: [...paths.interfaces],
    exclude: [...paths.exclude],
    metered: [...paths.metered],
  }
}

/** Addresses and routes of the device. Routes that an address implies are left to the kernel. */
export function linkCommand(config: Config, overlayIpv6: string): Command {
  const addresses = [...config.addresses, `${overlayIpv6}/${overlayLength}`]
  const onLink = addresses.map(parsePrefix).filter((prefix) => prefix !== undefined)
  const wanted = new Set(config.peers.flatMap(({ allowedIps }) => allowedIps))
  const routes = [...wanted].filter((text) => {
    const prefix = parsePrefix(text)
    return prefix !== undefined && !onLink.some((outer) => contains(outer, prefix))
  })
  return { type: 'Link', addresses, routes }
}

/**
 * @param endpoints those that are known as addresses now
 * @param presharedKeyFd descriptor of the preshared key, which the addon reads at once
 */
export function peerCommand(
  peer: PeerConfig,
  endpoints: readonly Endpoint[],
  presharedKeyFd?: number,
): Command {
  const { nodeId, persistentKeepaliveS } = peer
  return {
    type: 'Peer',
    id: peer.id,
    wireguardPublicKey: peer.wireguardPublicKey,
    endpoints: endpoints.map(formatEndpoint),
    allowedIps: [...peer.allowedIps],
    ...(nodeId === null ? {} : { nodeId }),
    ...(presharedKeyFd === undefined ? {} : { presharedKeyFd }),
    ...(persistentKeepaliveS === null ? {} : { persistentKeepalive: persistentKeepaliveS }),
  }
}

/** Keys of the file that a running agent cannot change, as the file spells them. */
const fixed = {
  privateKeyFile: 'private_key_file',
  interface: 'interface',
  listenPort: 'listen_port',
  mtu: 'mtu',
  aead: 'aead',
  stateDir: 'state_dir',
  controlSocket: 'control_socket',
  scheduler: 'scheduler',
  depth: 'depth',
} as const satisfies Partial<Record<keyof Config, string>>

/** Which keys differ that only a restart can change. */
export function fixedDifferences(before: Config, after: Config): string[] {
  const keys = Object.keys(fixed) as (keyof typeof fixed)[]
  return keys.filter((key) => before[key] !== after[key]).map((key) => fixed[key])
}

export type PeerChanges = {
  readonly removed: readonly PeerConfig[]
  readonly upserted: readonly PeerConfig[]
}

/** What turns the peers of one configuration into those of another. */
export function peerChanges(before: Config, after: Config): PeerChanges {
  const old = new Map(before.peers.map((peer) => [peer.id, peer]))
  const kept = new Set(after.peers.map(({ id }) => id))
  return {
    removed: before.peers.filter(({ id }) => !kept.has(id)),
    // A preshared key may have changed in its file, which the configuration does not show.
    upserted: after.peers.filter(
      (peer) =>
        peer.presharedKeyFile !== null || JSON.stringify(old.get(peer.id)) !== JSON.stringify(peer),
    ),
  }
}
