/**
 * This node's part in the mesh: the machine, its cache, and what both have to do with the agent.
 * Loaded after the tunnel stands, since nothing here is needed for the first packet.
 */
import { randomInt } from 'node:crypto'
import type { Config, PeerConfig } from '../config/config.js'
import { openStore } from '../lkg/store.js'
import type { Store } from '../lkg/store.js'
import { messageOf } from '../errors.js'
import type { Identity, Native, NativeEvent } from '../native.js'
import type { Events } from './events.js'
import { KnownGood } from './known-good.js'
import type { Present } from './known-good.js'
import type { Log } from './log.js'
import { Membership, unreachable } from './membership.js'
import type { MembershipSurroundings } from './membership.js'
import { recordReader } from './mesh.js'
import type { MeshView } from './mesh-view.js'
import { reachableEndpoints } from './reachable.js'
import { createVerifier } from './verify.js'
import { schemaVersion } from './views.js'
import type { CandidateView, CheckView, LkgView } from './views.js'
import type { PeerWishes } from './wishes.js'

/** What the agent gives its part in the mesh. */
export type Host = {
  readonly config: () => Config
  readonly identity: Identity
  readonly native: Native
  readonly log: Log
  readonly events: Events
  readonly wishes: PeerWishes
  readonly now: () => number
  /** Tells the addon what is wished of a peer now. */
  readonly tell: (peer: PeerConfig) => void
}

/** Opens the cache and begins; a cache that cannot be used is told, and done without. */
export async function join(host: Host): Promise<Joined> {
  const { stateDir } = host.config()
  let store: Store | undefined
  try {
    const opened = await openStore(stateDir)
    store = opened.store
    if (opened.warning !== undefined) host.log.warn({}, opened.warning)
  } catch (error) {
    host.log.error({ reason: messageOf(error) }, 'the cache of peers is not kept')
  }
  return new Joined(host, store)
}

export class Joined {
  readonly #host: Host
  readonly #cache: KnownGood
  readonly #membership: Membership
  readonly #candidates = new Map<string, readonly CandidateView[]>()
  #sockets: readonly string[] | undefined

  constructor(host: Host, store: Store | undefined) {
    this.#host = host
    const { log, native, now, identity } = host
    this.#cache = new KnownGood({
      store,
      log,
      wallClock: () => Date.now(),
      present: (ids) => this.#present(ids),
    })
    this.#membership = new Membership(
      { nodeId: identity.nodeId, seed: randomInt(2 ** 32), reader: recordReader(createVerifier()) },
      {
        apply: (command) => {
          native.apply([command])
        },
        cache: this.#cache,
        log,
        now,
        nameOf: (id) => this.#named(id)?.name ?? id,
        onEffect: this.#onEffect,
      },
    )
    this.configure()
  }

  get view(): MeshView {
    return this.#membership.view
  }

  /** Where the mesh tries a peer, best first; null as long as it has no opinion. */
  candidates(nodeId: string): readonly CandidateView[] | null {
    return this.#candidates.get(nodeId) ?? null
  }

  /** Takes over a changed configuration, or names that have been resolved. */
  configure(): void {
    const { wishes } = this.#host
    const peers = this.#peers.map((peer) => ({
      nodeId: peer.id,
      anchor: peer.anchor,
      endpoints: wishes.configuredText(peer),
    }))
    this.#membership.setPeers(peers)
    for (const id of this.#candidates.keys()) {
      if (this.#named(id) === undefined) this.#candidates.delete(id)
    }
    if (this.#sockets !== undefined) this.#tellSelf(this.#sockets)
  }

  handle(event: NativeEvent): void {
    if (event.type !== 'Network') {
      this.#membership.handle(event)
      return
    }
    const isFirst = this.#sockets === undefined
    this.#sockets = event.sockets.map(({ address }) => address)
    this.#tellSelf(this.#sockets)
    if (!isFirst) this.#membership.networkChanged()
  }

  /** @throws WhalescaleError PeerUnreachable, or Busy */
  async check(target: PeerConfig, via: PeerConfig | undefined): Promise<CheckView> {
    const outcome = await this.#membership.check(target.id, via?.id ?? null)
    if (!outcome.reachable) throw unreachable(target.name, outcome)
    const { roundTripMs } = outcome
    return { schema: schemaVersion, peer: target.name, via: via?.name ?? null, roundTripMs }
  }

  lkg(): LkgView {
    return {
      schema: schemaVersion,
      sequence: this.#cache.sequence,
      peers: this.#cache.peers.map(({ id, anchor, lastSuccess, endpoints, record }) => ({
        name: this.#named(id)?.name ?? id,
        nodeId: id,
        anchor,
        lastSuccess: instant(lastSuccess),
        hasRecord: record !== null,
        endpoints: endpoints.map((endpoint) => ({
          ...endpoint,
          lastSuccess: instant(endpoint.lastSuccess),
        })),
      })),
    }
  }

  /** Says goodbye; resolves soon, heard or not. */
  leave(): Promise<void> {
    return this.#membership.leave()
  }

  /** Resolves when the cache is on the disk. */
  close(): Promise<void> {
    this.#membership.close()
    return this.#cache.close()
  }

  /** Those that take part. */
  get #peers(): readonly PeerConfig[] {
    return this.#host.config().peers.filter(({ nodeId }) => nodeId !== null)
  }

  #named(id: string): PeerConfig | undefined {
    return this.#host.config().peers.find((peer) => peer.id === id)
  }

  #tellSelf(sockets: readonly string[]): void {
    const { identity } = this.#host
    const { addresses, peers, name, anchor, metadata } = this.#host.config()
    const inside = [...addresses.map((text) => text.split('/')[0] ?? ''), identity.overlayIpv6]
    const tunnelled = [...inside, ...peers.flatMap(({ allowedIps }) => allowedIps)]
    this.#membership.setSelf({
      endpoints: reachableEndpoints(sockets, tunnelled),
      anchor,
      metadata: name === null ? metadata : { name, ...metadata },
    })
  }

  readonly #onEffect: MembershipSurroundings['onEffect'] = (effect) => {
    const { events, log, wishes, tell } = this.#host
    switch (effect.type) {
      case 'self':
        events.emit({ type: 'phase', phase: effect.phase })
        return
      case 'warn':
        log.warn({ code: effect.code }, effect.message)
        events.emit({ type: 'warning', code: effect.code, message: effect.message })
        return
      case 'member': {
        const { peer: nodeId, state, suspected } = effect
        const peer = this.#named(nodeId)?.name ?? nodeId
        log.info({ peer, suspected }, state)
        events.emit({ type: 'member', peer, nodeId, state, suspected })
        return
      }
      case 'endpoints': {
        const peer = this.#named(effect.peer)
        if (peer === undefined) return
        const { candidates } = effect
        this.#candidates.set(peer.id, candidates)
        const addresses = candidates.map(({ endpoint }) => endpoint)
        if (wishes.order(peer.id, addresses)) tell(peer)
        events.emit({ type: 'endpoints', peer: peer.name, nodeId: peer.id, endpoints: candidates })
      }
    }
  }

  /** What the cache is to hold of these peers. */
  #present(ids: readonly string[]): ReadonlyMap<string, Present> {
    const { native, wishes } = this.#host
    const members = new Map(this.view.members.map((member) => [member.nodeId, member]))
    const measured = new Map(native.stats().peers.map((peer) => [peer.id, peer]))
    const present = new Map<string, Present>()
    for (const id of ids) {
      const [peer, member] = [this.#named(id), members.get(id)]
      if (peer === undefined) continue
      const paths = measured.get(id)?.paths ?? []
      present.set(id, {
        anchor: member?.anchor ?? peer.anchor,
        sequence: member?.sequence ?? null,
        selfAttested: member?.endpoints ?? [],
        observed: member?.observed.map(({ endpoint }) => endpoint) ?? [],
        configured: wishes.configuredText(peer),
        paths: paths.filter(({ state }) => state === 'healthy' || state === 'standby'),
      })
    }
    return present
  }
}

/** Milliseconds since 1970 as ISO 8601. */
function instant(milliseconds: number | null): string | null {
  return milliseconds === null ? null : new Date(milliseconds).toISOString()
}
