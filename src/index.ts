/**
 * Whalescale as a library: one node inside this process. The process needs CAP_NET_ADMIN and keeps
 * whatever rights it has; the program `whalescale up` gives up what it does not need.
 */
import { EventEmitter } from 'node:events'
import { serve } from './api/server.js'
import type { ApiServer } from './api/server.js'
import { reloadOf, startAgent } from './cli/agent.js'
import { prepare } from './cli/prepare.js'
import { readConfigText } from './config/load.js'
import { ExitCode, WhalescaleError } from './errors.js'
import { loadNative } from './native.js'
import type { Agent } from './node/agent.js'
import type { NodeEvent } from './node/events.js'
import type { Log } from './node/log.js'
import type { PingReply } from './node/pings.js'
import type { CheckView, LkgView, PathsView, PeersView, StatusView } from './node/views.js'

export { ExitCode, WhalescaleError } from './errors.js'
export type { NodeEvent } from './node/events.js'
export type { Log } from './node/log.js'
export type { PingReply } from './node/pings.js'
export type {
  CheckView,
  LkgView,
  MemberView,
  PathsView,
  PeersView,
  PeerView,
  StatusView,
} from './node/views.js'

export type NodeOptions = {
  /** The configuration (TOML), as `whalescale up` reads it. */
  readonly configFile: string
  /** Where the node logs; nowhere by default. */
  readonly log?: Log
  /** Whether the control socket is served, so that the commands work with this node; yes by default. */
  readonly localApi?: boolean
}

/** Events by name, each with one value (docs of `NodeEvent`). */
export type NodeEvents = {
  [Type in NodeEvent['type']]: [Extract<NodeEvent, { type: Type }>]
}

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** A promise, and what settles it from outside; nobody need wait for it. */
function deferred(): { promise: Promise<void>; resolve: () => void; reject: (e: Error) => void } {
  let resolve: () => void = () => undefined
  let reject: (error: Error) => void = () => undefined
  const promise = new Promise<void>((...both) => ([resolve, reject] = both))
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}

/** One node. A process runs one at a time, and each instance runs once. */
export class Node extends EventEmitter<NodeEvents> {
  readonly #options: NodeOptions
  readonly #ready = deferred()
  #running: Promise<void> | undefined
  #agent: Agent | undefined
  #stopping = false

  constructor(options: NodeOptions) {
    super()
    this.#options = options
  }

  /**
   * Brings the tunnel up and takes part in the mesh; resolves when the node has stopped.
   * @throws WhalescaleError when it cannot start, or fails later; everything is undone then
   */
  run(): Promise<void> {
    this.#running ??= this.#run().catch((error: unknown) => {
      this.#ready.reject(error instanceof Error ? error : new Error(String(error)))
      throw error
    })
    return this.#running
  }

  /**
   * Resolves when the node has joined the mesh, at once if no peer takes part in it.
   * @throws WhalescaleError when `run` fails before
   */
  ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Leaves the mesh and undoes everything; resolves when that is done. Further calls do nothing. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#agent?.shutdown()
    await this.#running
  }

  /** @throws WhalescaleError NotRunning, as all that follow */
  status(): StatusView {
    return this.#live.status()
  }

  peers(): PeersView {
    return this.#live.peers()
  }

  paths(): PathsView {
    return this.#live.paths()
  }

  /** What the last-known-good cache holds. */
  lkg(): LkgView {
    return this.#live.lkg()
  }

  /** One round trip to a peer, by name or key. @throws WhalescaleError PeerUnreachable */
  ping(peer: string): Promise<PingReply> {
    return this.#live.ping(peer)
  }

  /**
   * Whether a peer answers, asked by this node or by the peer `via`.
   * @throws WhalescaleError PeerUnreachable
   */
  check(target: string, via?: string): Promise<CheckView> {
    return this.#live.check(target, via ?? null)
  }

  /** Reads the configuration again. @throws WhalescaleError when it is not fit; nothing changes then */
  async reload(): Promise<void> {
    const { configFile } = this.#options
    await reloadOf(this.#live)(readConfigText(configFile), configFile)
  }

  get #live(): Agent {
    if (this.#agent !== undefined) return this.#agent
    throw new WhalescaleError('the node is not running', {
      code: 'NotRunning',
      remedy: 'call run() first',
      exitCode: ExitCode.notRunning,
    })
  }

  async #run(): Promise<void> {
    const { configFile, log = silent, localApi = true } = this.#options
    const prepared = await prepare(configFile)
    const agent = startAgent(prepared, loadNative(), log)
    agent.events.listen((event) => {
      this.#emit(event)
    })
    this.#agent = agent
    let server: ApiServer | undefined
    try {
      if (localApi) server = await serve(agent, reloadOf(agent), prepared.config.controlSocket)
      if (this.#stopping) agent.stop()
      await agent.join()
      if (!prepared.config.peers.some(({ nodeId }) => nodeId !== null)) this.#ready.resolve()
      const code = await agent.ended
      if (code !== ExitCode.ok) throw new WhalescaleError('the node failed', { code: 'Failed' })
    } finally {
      agent.stop(ExitCode.failure)
      this.#agent = undefined
      await server?.close()
    }
  }

  #emit(event: NodeEvent): void {
    if (event.type === 'phase' && event.phase === 'joined') this.#ready.resolve()
    // The type of each event is its name; TypeScript does not follow that through the union.
    const emit = this.emit.bind(this) as (name: string, value: NodeEvent) => boolean
    emit(event.type, event)
  }
}
