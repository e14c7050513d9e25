/**
 * The agent: keeps the addon at what the configuration wishes and answers questions about it. Events
 * of the addon are handled in order; none of them is answered by a call into the caller. The agent
 * ends once, through `stop` or a fatal event, and `ended` tells how.
 */
import { closeSync } from 'node:fs'
import type { Config, PeerConfig } from '../config/config.js'
import { ExitCode, WhalescaleError, messageOf } from '../errors.js'
import type { Identity, Native, NativeEvent } from '../native.js'
import type { Tun } from '../tun/tun.js'
import { fixedDifferences, linkCommand, peerChanges, socketsCommand } from './commands.js'
import { Events } from './events.js'
import type { Joined } from './joined.js'
import type { Log } from './log.js'
import { peerCalled, refuseSelf } from './naming.js'
import { Pings } from './pings.js'
import type { PingReply } from './pings.js'
import { startResolver } from './resolver.js'
import type { Lookup, Resolved, Resolver } from './resolver.js'
import { pathsView, peersView, statusView } from './views.js'
import type { CheckView, LkgView, PathsView, PeersView, Snapshot, StatusView } from './views.js'
import { PeerWishes } from './wishes.js'

/** What was opened before the agent runs, with more rights than it keeps. */
export type Resources = {
  readonly tun: Tun
  /** The addon takes it over. */
  readonly keyFd: number
  /** Descriptors of preshared keys by absolute path; they stay open as long as the agent runs. */
  readonly presharedKeys: ReadonlyMap<string, number>
  readonly timestampFloor: string | undefined
}

export type Surroundings = {
  readonly native: Native
  readonly log: Log
  readonly lookup: Lookup
  /** Must have stored the value when it returns. */
  readonly storeTimestamp: (value: string) => void
  /** Milliseconds of a clock that only grows. */
  readonly now: () => number
}

/** A handshake retried once, five seconds later, still answers in time. */
const pingTimeoutMs = 6_000
/** News for the mesh while it loads, which takes a fraction of a second; peers repeat what matters. */
const mostEarly = 1_024

export class Agent {
  readonly ended: Promise<ExitCode>
  readonly events = new Events()
  readonly #surroundings: Surroundings
  readonly #identity: Identity
  readonly #pings = new Pings()
  readonly #resolver: Resolver
  readonly #startedAt: number
  readonly #wishes: PeerWishes
  readonly #early: NativeEvent[] = []
  readonly #end: (code: ExitCode) => void
  #config: Config
  #joined: Joined | undefined
  #eventsDropped = 0
  #stopped = false

  /** @throws WhalescaleError when the addon refuses; the descriptors are then the caller's to close */
  constructor(config: Config, resources: Resources, surroundings: Surroundings) {
    const { native, lookup, now } = surroundings
    this.#config = config
    this.#wishes = new PeerWishes(resources.presharedKeys, config.peers)
    this.#surroundings = surroundings
    this.#startedAt = now()
    let end: (code: ExitCode) => void = () => undefined
    this.ended = new Promise((resolve) => {
      end = resolve
    })
    this.#end = end
    this.#resolver = startResolver(lookup, this.#tunnelled, this.#resolvedPeer)
    this.#identity = native.open(this.#openConfig(resources), (events) => {
      for (const event of events) this.#handle(event)
    })
    closeSync(resources.keyFd)
    refuseSelf(config, this.#identity)
    native.apply([
      socketsCommand(config),
      linkCommand(config, this.#identity.overlayIpv6),
      ...config.peers.map((peer) => this.#wishes.command(peer)),
    ])
    for (const peer of config.peers) this.#resolver.watch(peer)
  }

  get identity(): Identity {
    return this.#identity
  }

  status(): StatusView {
    return statusView(this.#snapshot())
  }

  peers(): PeersView {
    return peersView(this.#snapshot())
  }

  paths(): PathsView {
    return pathsView(this.#snapshot())
  }

  /**
   * Asks a peer, by name or key, for one answer through the tunnel.
   * @throws WhalescaleError UnknownPeer, Busy or PeerUnreachable
   */
  async ping(nameOrId: string): Promise<PingReply> {
    const peer = peerCalled(this.#config, nameOrId)
    if (this.#pings.full) {
      throw new WhalescaleError('too many pings are under way', { code: 'Busy' })
    }
    const reply = await this.#pings.run((token) => {
      this.#surroundings.native.apply([{ type: 'Ping', id: peer.id, token }])
    }, pingTimeoutMs)
    if (reply !== undefined) return reply
    throw new WhalescaleError(`no answer from ${peer.name}`, {
      code: 'PeerUnreachable',
      exitCode: ExitCode.unreachable,
    })
  }

  /**
   * Takes part in the mesh from now on; what is needed for that is loaded only here.
   * Does nothing when the agent has stopped meanwhile.
   */
  async join(): Promise<void> {
    const { native, log, now } = this.#surroundings
    const { join } = await import('./joined.js')
    const joined = await join({
      config: () => this.#config,
      identity: this.#identity,
      native,
      log,
      now,
      events: this.events,
      wishes: this.#wishes,
      tell: this.#tell,
    })
    if (this.#stopped) return joined.close()
    this.#joined = joined
    for (const event of this.#early.splice(0)) joined.handle(event)
  }

  /** @throws WhalescaleError NotJoined as long as the mesh is being loaded */
  lkg(): LkgView {
    return this.#mesh().lkg()
  }

  /**
   * Whether a peer answers, asked by this node or on its behalf by another peer.
   * @throws WhalescaleError UnknownPeer, Busy, NotJoined or PeerUnreachable
   */
  async check(target: string, via: string | null): Promise<CheckView> {
    const asked = via === null ? undefined : peerCalled(this.#config, via)
    return this.#mesh().check(peerCalled(this.#config, target), asked)
  }

  /**
   * Brings the running agent to another configuration; on an error nothing has changed.
   * @param presharedKeys descriptors for the new configuration, which the agent then owns
   * @throws WhalescaleError NeedsRestart when a key differs that cannot change at run time
   */
  reload(config: Config, presharedKeys: ReadonlyMap<string, number>): void {
    const different = fixedDifferences(this.#config, config)
    if (different.length > 0) {
      throw new WhalescaleError(`[node] ${different.join(', ')} cannot change while running`, {
        code: 'NeedsRestart',
        remedy: 'run "whalescale down" and "up" again',
        exitCode: ExitCode.usage,
      })
    }
    refuseSelf(config, this.#identity)
    const { removed, upserted } = peerChanges(this.#config, config)
    const socketsDiffer = JSON.stringify(config.paths) !== JSON.stringify(this.#config.paths)
    const before = this.#wishes.replaceKeys(presharedKeys)
    // What was looked up or learnt belongs to the old endpoints; it is told again.
    for (const { id } of [...removed, ...upserted]) this.#wishes.forget(id)
    try {
      this.#surroundings.native.apply([
        ...removed.map(({ id }) => ({ type: 'RemovePeer' as const, id })),
        ...upserted.map((peer) => this.#wishes.command(peer)),
        linkCommand(config, this.#identity.overlayIpv6),
        ...(socketsDiffer ? [socketsCommand(config)] : []),
      ])
    } catch (error) {
      this.#wishes.replaceKeys(before)
      throw error
    }
    this.#config = config
    this.#wishes.enclose(config.peers)
    for (const fd of before.values()) closeSync(fd)
    for (const { id } of removed) this.#resolver.forget(id)
    for (const peer of upserted) this.#resolver.watch(peer)
    this.#joined?.configure()
    const counts = { removed: removed.length, changed: upserted.length }
    this.#surroundings.log.info(counts, 'configuration reloaded')
    this.events.emit({ type: 'reloaded', ...counts })
  }

  /** Leaves the mesh in good order, then stops. */
  async shutdown(): Promise<void> {
    await this.#joined?.leave()
    this.stop()
  }

  /** Undoes all that the agent did; further calls do nothing. */
  stop(code: ExitCode = ExitCode.ok): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#resolver.close()
    this.#pings.close()
    try {
      // The cache notes the paths as they are, so it is written while they can be asked for.
      const written = this.#joined?.close()
      this.#surroundings.native.close()
      void this.#endAfter(written, code)
    } catch (error) {
      this.#surroundings.log.error({ reason: messageOf(error) }, 'the tunnel did not close cleanly')
      this.#end(ExitCode.failure)
    }
  }

  async #endAfter(written: Promise<void> | undefined, code: ExitCode): Promise<void> {
    try {
      await written
      this.#end(code)
    } catch (error) {
      this.#surroundings.log.error({ reason: messageOf(error) }, 'the cache did not close cleanly')
      this.#end(ExitCode.failure)
    }
  }

  readonly #tunnelled = (): readonly string[] =>
    this.#config.peers.flatMap(({ allowedIps }) => allowedIps)

  readonly #resolvedPeer = (peer: PeerConfig, resolved: Resolved): void => {
    const { log } = this.#surroundings
    const { name } = peer
    for (const host of resolved.failed) log.warn({ peer: name, host }, 'name has no address yet')
    for (const host of resolved.looping)
      log.warn({ peer: name, host }, 'endpoint lies in the tunnel')
    this.#wishes.resolve(peer.id, resolved.endpoints)
    this.#tell(peer)
    this.#joined?.configure()
  }

  readonly #tell = (peer: PeerConfig): void => {
    try {
      this.#surroundings.native.apply([this.#wishes.command(peer)])
    } catch (error) {
      const reason = messageOf(error)
      this.#surroundings.log.error({ peer: peer.name, reason }, 'endpoints were refused')
    }
  }

  #openConfig({ tun, keyFd, timestampFloor }: Resources): Parameters<Native['open']>[0] {
    const { mtu, aead, scheduler, depth } = this.#config
    return {
      tunFd: tun.fd,
      tunName: tun.name,
      vnetHeader: tun.vnetHeader,
      keyFd,
      scheduler,
      ...(mtu === 'auto' ? {} : { mtu }),
      ...(aead === 'auto' ? {} : { aead }),
      ...(depth === 'auto' ? {} : { depth }),
      ...(timestampFloor === undefined ? {} : { timestampFloor }),
    }
  }

  #mesh(): Joined {
    if (this.#joined !== undefined) return this.#joined
    throw new WhalescaleError('the agent has not joined the mesh yet', {
      code: 'NotJoined',
      remedy: 'try again in a second',
    })
  }

  #snapshot(): Snapshot {
    const { native, now } = this.#surroundings
    return {
      config: this.#config,
      identity: this.#identity,
      stats: native.stats(),
      uptimeMs: Math.round(now() - this.#startedAt),
      eventsDropped: this.#eventsDropped,
      mesh: this.#joined?.view ?? null,
      candidates: (nodeId) => this.#joined?.candidates(nodeId) ?? null,
    }
  }

  #nameOf(peerId: string): string {
    return this.#config.peers.find(({ id }) => id === peerId)?.name ?? peerId
  }

  #handle(event: NativeEvent): void {
    const { log, storeTimestamp } = this.#surroundings
    switch (event.type) {
      case 'Peer':
        this.#peerChanged(event)
        return
      case 'Message':
      case 'Signed':
      case 'Observed':
        this.#toMesh(event)
        return
      case 'Timestamp':
        try {
          storeTimestamp(event.value)
        } catch (error) {
          log.error({ reason: messageOf(error) }, 'the timestamp could not be stored')
        }
        return
      case 'Pong':
      case 'PingTimeout':
        this.#pings.settle(event)
        return
      case 'Restarted':
        log.info({ peer: this.#nameOf(event.id) }, 'peer has restarted')
        return
      case 'Network':
        log.info({ addresses: event.sockets.map(({ address }) => address) }, 'network changed')
        this.#toMesh(event)
        return
      case 'Mtu':
        log.info({ innerMtu: event.innerMtu }, 'inner MTU changed')
        this.events.emit({ type: 'mtu', innerMtu: event.innerMtu })
        return
      case 'Warning':
        log.warn({ code: event.code }, event.message)
        this.events.emit({ type: 'warning', code: event.code, message: event.message })
        return
      case 'Dropped':
        this.#eventsDropped += event.count
        log.warn({ count: event.count }, 'events were lost')
        return
      case 'Fatal':
        log.error({}, `the tunnel failed: ${event.message}`)
        this.stop(ExitCode.failure)
    }
  }

  #peerChanged(event: Extract<NativeEvent, { type: 'Peer' }>): void {
    const { id, state, endpoint, handshakeMs } = event
    const peer = this.#config.peers.find((candidate) => candidate.id === id)
    const [name, nodeId] = [peer?.name ?? id, peer?.nodeId ?? null]
    this.#surroundings.log.info({ peer: name, endpoint, handshakeMs }, state)
    this.events.emit({ type: 'peer', peer: name, nodeId, state, endpoint })
    if (nodeId !== null) this.#toMesh(event)
  }

  #toMesh(event: NativeEvent): void {
    if (this.#joined !== undefined) this.#joined.handle(event)
    else if (this.#early.length < mostEarly) this.#early.push(event)
  }
}
