/**
 * Runs the mesh machine of this node: news of the addon become its inputs, its effects become
 * commands, entries of the cache and events. One input at a time: what an effect causes at once waits
 * until all effects before it are carried out.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { ExitCode, WhalescaleError, messageOf } from '../errors.js'
import type { Command, NativeEvent } from '../native.js'
import type { KnownGood } from './known-good.js'
import type { Log } from './log.js'
import { meshView } from './mesh-view.js'
import type { MeshView } from './mesh-view.js'
import { createMesh, nextWakeup, step } from './mesh.js'
import type { Effect, Input, MeshOptions } from './mesh.js'

type InputOf<Type extends Input['type']> = Extract<Input, { type: Type }>
type EffectOf<Type extends Effect['type']> = Extract<Effect, { type: Type }>
export type CheckOutcome = EffectOf<'checked'>['outcome']

export type MembershipSurroundings = {
  readonly apply: (command: Command) => void
  readonly cache: KnownGood
  readonly log: Log
  /** Milliseconds of a clock that only grows. */
  readonly now: () => number
  readonly nameOf: (peer: string) => string
  /** Told of endpoints, members, phases and warnings, after they are in force. */
  readonly onEffect: (effect: EffectOf<'endpoints' | 'member' | 'self' | 'warn'>) => void
}

/** Longer than any check through another peer takes. */
const checkTimeoutMs = 10_000
/** Each holds a request of the local API open. */
const mostChecks = 64
/** Leaving is said, not negotiated: the machine takes 300 ms, and nobody waits much longer. */
const leaveTimeoutMs = 400
/** Closing the addon cuts off what its sending thread has not taken up yet. */
const lastWordMs = 20
/** The longest delay that a timer of Node takes. */
const longestDelay = 2 ** 31 - 1

export class Membership {
  readonly #mesh: ReturnType<typeof createMesh>
  readonly #surroundings: MembershipSurroundings
  readonly #waiting: Input[] = []
  readonly #checks = new Map<number, (outcome: CheckOutcome) => void>()
  #stepping = false
  #closed = false
  #timer: NodeJS.Timeout | undefined
  #lastToken = 0
  #whenLeft: () => void = () => undefined
  #commandsRefused = 0

  constructor(options: MeshOptions, surroundings: MembershipSurroundings) {
    this.#mesh = createMesh(options)
    this.#surroundings = surroundings
    const { cache } = surroundings
    this.#take({
      type: 'start',
      sequence: cache.sequence,
      records: cache.peers.flatMap(({ record }) =>
        record === null ? [] : [Buffer.from(record, 'base64')],
      ),
      cached: cache.peers.map(({ id, endpoints }) => ({
        nodeId: id,
        endpoints: endpoints.flatMap(({ address, lastSuccess }) =>
          lastSuccess === null ? [] : [address],
        ),
      })),
    })
  }

  get view(): MeshView {
    return meshView(this.#mesh)
  }

  /** Commands that the addon would not take, since the start. */
  get commandsRefused(): number {
    return this.#commandsRefused
  }

  setPeers(peers: InputOf<'peers'>['peers']): void {
    this.#take({ type: 'peers', peers })
  }

  setSelf(self: Omit<InputOf<'self'>, 'type'>): void {
    this.#take({ type: 'self', ...self })
  }

  networkChanged(): void {
    this.#take({ type: 'network' })
  }

  /** What the addon reports about peers; other news are not for the mesh. */
  handle(event: NativeEvent): void {
    switch (event.type) {
      case 'Peer':
        this.#session(event)
        return
      case 'Message':
        this.#take({ type: 'message', from: event.id, kind: event.kind, body: event.body })
        return
      case 'Signed':
        this.#take({ type: 'signed', token: event.token, signature: event.signature })
        return
      case 'Observed':
        this.#take({ type: 'observed', by: event.id, endpoint: event.address })
        return
      default:
    }
  }

  /**
   * Whether a peer answers, asked by us or by another peer.
   * @throws WhalescaleError Busy when too many checks are under way
   */
  async check(target: string, via: string | null): Promise<CheckOutcome> {
    if (this.#checks.size >= mostChecks) {
      throw new WhalescaleError('too many checks are under way', { code: 'Busy' })
    }
    this.#lastToken = (this.#lastToken + 1) % 2 ** 32
    const token = this.#lastToken
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise((resolve) => {
        this.#checks.set(token, resolve)
        timer = setTimeout(() => {
          resolve({ reachable: false, reason: 'no answer' })
        }, checkTimeoutMs)
        this.#take({ type: 'check', token, target, via })
      })
    } finally {
      clearTimeout(timer)
      this.#checks.delete(token)
    }
  }

  /** Tells the others that we go; resolves when that is done, or when it took too long. */
  async leave(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#whenLeft = resolve
      timer = setTimeout(resolve, leaveTimeoutMs)
      this.#take({ type: 'leave' })
    })
    clearTimeout(timer)
    await delay(lastWordMs)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    for (const resolve of this.#checks.values()) {
      resolve({ reachable: false, reason: 'no answer' })
    }
    this.#whenLeft()
  }

  #session({ id, state, endpoint }: Extract<NativeEvent, { type: 'Peer' }>): void {
    if (state === 'handshaking') return
    if (state === 'connected') {
      if (endpoint !== null) this.#surroundings.cache.succeeded(id, endpoint)
      this.#take({ type: 'session', peer: id, state: 'up', endpoint })
      return
    }
    const ended = state === 'unreachable' ? 'lost' : 'idle'
    this.#take({ type: 'session', peer: id, state: ended, endpoint })
  }

  #take(input: Input): void {
    this.#waiting.push(input)
    if (this.#stepping) return
    this.#stepping = true
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        if (this.#closed) continue
        for (const effect of step(this.#mesh, next, this.#surroundings.now())) {
          this.#carryOut(effect)
        }
      }
    } finally {
      this.#stepping = false
    }
    this.#wind()
  }

  #wind(): void {
    clearTimeout(this.#timer)
    const at = nextWakeup(this.#mesh)
    if (this.#closed || at === Infinity) return
    // Timers count whole milliseconds, and one that comes early comes twice.
    const wait = Math.min(Math.ceil(Math.max(at - this.#surroundings.now(), 0)), longestDelay)
    this.#timer = setTimeout(() => {
      this.#take({ type: 'tick' })
    }, wait)
  }

  #carryOut(effect: Effect): void {
    const { cache, log, nameOf, onEffect } = this.#surroundings
    switch (effect.type) {
      case 'send':
        this.#apply({ type: 'Message', id: effect.to, kind: effect.kind, body: effect.body })
        return
      case 'sign': {
        const { token, domain, body } = effect
        this.#apply({ type: 'Sign', token, domain, body })
        return
      }
      case 'connect':
        this.#apply({ type: 'Connect', id: effect.peer })
        return
      case 'storeSequence':
        this.#storeSequence(effect.sequence)
        return
      case 'storeRecord':
        cache.storeRecord(effect.nodeId, effect.record)
        return
      case 'checked':
        this.#checks.get(effect.token)?.(effect.outcome)
        return
      case 'rejected':
        log.debug({ peer: nameOf(effect.from), reason: effect.reason }, 'gossip was rejected')
        return
      case 'self':
        if (effect.phase === 'left') this.#whenLeft()
        onEffect(effect)
        return
      case 'endpoints':
      case 'member':
      case 'warn':
        onEffect(effect)
    }
  }

  /** Without a disk the mesh goes on: peers that hold a newer record of ours say so. */
  #storeSequence(sequence: number): void {
    try {
      this.#surroundings.cache.storeSequence(sequence)
    } catch (error) {
      const reason = messageOf(error)
      this.#surroundings.log.error({ reason }, 'the sequence number could not be stored')
    }
  }

  #apply(command: Command): void {
    try {
      this.#surroundings.apply(command)
    } catch (error) {
      this.#commandsRefused += 1
      const reason = messageOf(error)
      this.#surroundings.log.debug({ command: command.type, reason }, 'a command was refused')
    }
  }
}

/** The error of a check that found nobody. */
export function unreachable(
  name: string,
  outcome: Extract<CheckOutcome, { reachable: false }>,
): WhalescaleError {
  return new WhalescaleError(`${name} is not reachable: ${outcome.reason}`, {
    code: 'PeerUnreachable',
    exitCode: ExitCode.unreachable,
  })
}
