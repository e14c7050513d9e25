/**
 * The agent: keeps the addon at what the configuration wishes and answers questions about it. Events
 * of the addon are handled in order; none of them is answered by a call into the caller. The agent
 * ends once, through `stop` or a fatal event, and `ended` tells how.
 */
import { closeSync } from 'node:fs'
import type { Config, PeerConfig } from '../config/config.js'
import { isLiteral } from '../config/endpoint.js'
import { ExitCode, WhalescaleError, messageOf } from '../errors.js'
import type { Identity, Native, NativeEvent } from '../native.js'
import type { Tun } from '../tun/tun.js'
import {
  fixedDifferences,
  linkCommand,
  peerChanges,
  peerCommand,
  socketsCommand,
} from './commands.js'
import type { Log } from './log.js'
import { Pings } from './pings.js'
import type { PingReply } from './pings.js'
import { startResolver } from './resolver.js'
import type { Lookup, Resolved, Resolver } from './resolver.js'
import { pathsView, peersView, statusView } from './views.js'
import type { PathsView, PeersView, Snapshot, StatusView } from './views.js'

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

export class Agent {
  readonly ended: Promise<ExitCode>
  readonly #surroundings: Surroundings
  readonly #identity: Identity
  readonly #pings = new Pings()
  readonly #resolver: Resolver
  readonly #startedAt: number
  readonly #resolved = new Map<string, Resolved['endpoints']>()
  readonly #end: (code: ExitCode) => void
  #config: Config
  #presharedKeys: ReadonlyMap<string, number>
  #eventsDropped = 0
  #stopped = false

  /** @throws WhalescaleError when the addon refuses; the descriptors are then the caller's to close */
  constructor(config: Config, resources: Resources, surroundings: Surroundings) {
    const { native, lookup, now } = surroundings
    this.#config = config
    this.#presharedKeys = resources.presharedKeys
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
    this.#refuseSelf(config)
    native.apply([
      socketsCommand(config),
      linkCommand(config, this.#identity.overlayIpv6),
      ...config.peers.map((peer) => this.#peerCommand(peer)),
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
    const peer = this.#config.peers.find(({ id, name, wireguardPublicKey }) =>
      [id, name, wireguardPublicKey].includes(nameOrId),
    )
    if (peer === undefined) {
      throw new WhalescaleError(`no peer is called ${nameOrId}`, {
        code: 'UnknownPeer',
        remedy: 'see "whalescale peers"',
        exitCode: ExitCode.usage,
      })
    }
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
    this.#refuseSelf(config)
    const { removed, upserted } = peerChanges(this.#config, config)
    const socketsDiffer = JSON.stringify(config.paths) !== JSON.stringify(this.#config.paths)
    const before = this.#presharedKeys
    this.#presharedKeys = presharedKeys
    // What was looked up belongs to the old endpoints; the resolver tells again.
    for (const { id } of upserted) this.#resolved.delete(id)
    try {
      this.#surroundings.native.apply([
        ...removed.map(({ id }) => ({ type: 'RemovePeer' as const, id })),
        ...upserted.map((peer) => this.#peerCommand(peer)),
        linkCommand(config, this.#identity.overlayIpv6),
        ...(socketsDiffer ? [socketsCommand(config)] : []),
      ])
    } catch (error) {
      this.#presharedKeys = before
      throw error
    }
    this.#config = config
    for (const fd of before.values()) closeSync(fd)
    for (const { id } of removed) {
      this.#resolver.forget(id)
      this.#resolved.delete(id)
    }
    for (const peer of upserted) this.#resolver.watch(peer)
    const counts = { removed: removed.length, changed: upserted.length }
    this.#surroundings.log.info(counts, 'configuration reloaded')
  }

  /** Undoes all that the agent did; further calls do nothing. */
  stop(code: ExitCode = ExitCode.ok): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#resolver.close()
    this.#pings.close()
    try {
      this.#surroundings.native.close()
    } catch (error) {
      this.#surroundings.log.error({ reason: messageOf(error) }, 'the tunnel did not close cleanly')
      this.#end(ExitCode.failure)
      return
    }
    this.#end(code)
  }

  readonly #tunnelled = (): readonly string[] =>
    this.#config.peers.flatMap(({ allowedIps }) => allowedIps)

  readonly #resolvedPeer = (peer: PeerConfig, resolved: Resolved): void => {
    const { native, log } = this.#surroundings
    const { name } = peer
    for (const host of resolved.failed) log.warn({ peer: name, host }, 'name has no address yet')
    for (const host of resolved.looping)
      log.warn({ peer: name, host }, 'endpoint lies in the tunnel')
    this.#resolved.set(peer.id, resolved.endpoints)
    try {
      native.apply([this.#peerCommand(peer)])
    } catch (error) {
      log.error({ peer: name, reason: messageOf(error) }, 'endpoints were refused')
    }
  }

  #openConfig({ tun, keyFd, timestampFloor }: Resources): Parameters<Native['open']>[0] {
    const { mtu, aead, scheduler } = this.#config
    return {
      tunFd: tun.fd,
      tunName: tun.name,
      vnetHeader: tun.vnetHeader,
      keyFd,
      scheduler,
      ...(mtu === 'auto' ? {} : { mtu }),
      ...(aead === 'auto' ? {} : { aead }),
      ...(timestampFloor === undefined ? {} : { timestampFloor }),
    }
  }

  #peerCommand(peer: PeerConfig): ReturnType<typeof peerCommand> {
    const endpoints = this.#resolved.get(peer.id) ?? peer.endpoints.filter(isLiteral)
    const file = peer.presharedKeyFile
    const presharedKey = file === null ? undefined : this.#presharedKeys.get(file)
    return peerCommand(peer, endpoints, presharedKey)
  }

  #refuseSelf(config: Config): void {
    const self = config.peers.find(
      ({ wireguardPublicKey }) => wireguardPublicKey === this.#identity.wireguardPublicKey,
    )
    if (self === undefined) return
    throw new WhalescaleError(`${config.file}: peer ${self.name} has the key of this node itself`, {
      code: 'BadConfig',
      remedy: 'remove that peer',
      exitCode: ExitCode.usage,
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
    }
  }

  #nameOf(peerId: string): string {
    return this.#config.peers.find(({ id }) => id === peerId)?.name ?? peerId
  }

  #handle(event: NativeEvent): void {
    const { log, storeTimestamp } = this.#surroundings
    switch (event.type) {
      case 'Peer': {
        const { id, endpoint, handshakeMs } = event
        log.info({ peer: this.#nameOf(id), endpoint, handshakeMs }, event.state)
        return
      }
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
        return
      case 'Mtu':
        log.info({ innerMtu: event.innerMtu }, 'inner MTU changed')
        return
      case 'Warning':
        log.warn({ code: event.code }, event.message)
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
}
