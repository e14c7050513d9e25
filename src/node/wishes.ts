/**
 * What the addon is to know of each peer: its configuration, its preshared key, and where to try it.
 * Endpoints are those that the mesh has put in order, else what names resolved to, else the literal
 * ones of the file; none of them lies in the tunnel, which would carry itself.
 */
import type { PeerConfig } from '../config/config.js'
import { formatEndpoint, isLiteral, parseEndpoint } from '../config/endpoint.js'
import type { Endpoint } from '../config/endpoint.js'
import { contains, parsePrefix } from '../config/prefix.js'
import type { Prefix } from '../config/prefix.js'
import type { Command } from '../native.js'
import { peerCommand } from './commands.js'

export class PeerWishes {
  readonly #resolved = new Map<string, readonly Endpoint[]>()
  readonly #ordered = new Map<string, readonly Endpoint[]>()
  #presharedKeys: ReadonlyMap<string, number>
  #tunnelled: readonly Prefix[] = []

  /** @param presharedKeys descriptors by absolute path */
  constructor(presharedKeys: ReadonlyMap<string, number>, peers: readonly PeerConfig[]) {
    this.#presharedKeys = presharedKeys
    this.enclose(peers)
  }

  /** @returns the descriptors until now, which are the caller's */
  replaceKeys(presharedKeys: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
    const before = this.#presharedKeys
    this.#presharedKeys = presharedKeys
    return before
  }

  /** Sets which addresses lie in the tunnel. */
  enclose(peers: readonly PeerConfig[]): void {
    const prefixes = peers.flatMap(({ allowedIps }) => allowedIps).map(parsePrefix)
    this.#tunnelled = prefixes.filter((prefix) => prefix !== undefined)
  }

  resolve(id: string, endpoints: readonly Endpoint[]): void {
    this.#resolved.set(id, endpoints)
  }

  /** @returns whether this changes where the peer is tried */
  order(id: string, endpoints: readonly string[]): boolean {
    const parsed = endpoints.map(parseEndpoint).filter((endpoint) => endpoint !== undefined)
    const usable = parsed.filter((endpoint) => this.#isOutside(endpoint))
    const changed = JSON.stringify(this.#ordered.get(id)) !== JSON.stringify(usable)
    this.#ordered.set(id, usable)
    return changed
  }

  /** Forgets what was looked up or learnt of a peer. */
  forget(id: string): void {
    this.#resolved.delete(id)
    this.#ordered.delete(id)
  }

  /** Addresses that the configuration gives, names among them resolved. */
  configured(peer: PeerConfig): readonly Endpoint[] {
    return this.#resolved.get(peer.id) ?? peer.endpoints.filter(isLiteral)
  }

  command(peer: PeerConfig): Command {
    const endpoints = this.#ordered.get(peer.id) ?? this.configured(peer)
    const file = peer.presharedKeyFile
    const presharedKey = file === null ? undefined : this.#presharedKeys.get(file)
    return peerCommand(peer, endpoints, presharedKey)
  }

  /** The configured addresses as text. */
  configuredText(peer: PeerConfig): string[] {
    return this.configured(peer).map(formatEndpoint)
  }

  #isOutside({ host }: Endpoint): boolean {
    const address = parsePrefix(host)
    return address !== undefined && !this.#tunnelled.some((prefix) => contains(prefix, address))
  }
}
