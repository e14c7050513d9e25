/**
 * A network of mesh machines on virtual time: datagrams with seeded loss and delay, sessions that open when
 * something is sent and end when nothing is, addresses that change, machines that die. The machines and the
 * bytes are the shipped ones; nothing of them is modelled here.
 *
 * Invariant: equal options give equal runs.
 */
import { createMesh, nextWakeup, step } from '#src/node/mesh.js'
import type { Effect, Input, Mesh } from '#src/node/mesh.js'
import { Random } from '#src/peers/random.js'
import { identityOf, sharedReader, type Identity } from './identity.js'
import {
  connectSpacingMs,
  datagramBytes,
  idleMs,
  mostTries,
  mostWaiting,
  openBytes,
  retryMs,
  type Event,
  type NetworkOptions,
  type Node,
  type Session,
} from './model.js'
import { EventQueue } from './queue.js'
import { Routes } from './routes.js'

export class Network {
  readonly options: NetworkOptions
  readonly nodes: Node[]
  readonly routes: Routes
  now = 0
  /** Called for every effect, before it is carried out. */
  watch: (node: Node, effect: Effect) => void = () => undefined
  readonly #random: Random
  readonly #queue = new EventQueue<Event>()
  readonly #sessions = new Map<number, Session>()
  readonly #byId: Map<string, Node>
  readonly #reader = sharedReader()
  #apart: ReadonlySet<Node> = new Set()

  constructor(options: NetworkOptions) {
    this.options = options
    this.#random = new Random(options.seed)
    this.routes = new Routes(options.nodes)
    this.nodes = Array.from({ length: options.nodes }, (_, index) => this.#newNode(index))
    this.#byId = new Map(this.nodes.map((node) => [node.identity.nodeId, node]))
  }

  /** All start within `spreadMs`. With `quiet`, they know all records of each other and tell nothing. */
  start(spreadMs: number, quiet = false): void {
    const records = quiet ? this.nodes.map((node) => this.#recordOf(node)) : []
    for (const node of this.nodes) {
      this.startNode(node, this.#random.fraction() * spreadMs, records, quiet)
    }
  }

  /** Starts one node, or a killed one again, after `delay`. */
  startNode(node: Node, delay: number, records: readonly Uint8Array[] = [], quiet = false): void {
    const sequence = node.mesh.self.reserved + (records.length > 0 ? 16 : 0)
    if (node.mesh.startedAt !== Infinity) node.mesh = this.#newMesh(node.identity)
    this.routes.clear(node)
    const at = this.now + delay
    this.#queue.add(at, { type: 'boot', node })
    const input = (value: Input): void => {
      this.#queue.add(at, { type: 'input', node, input: value })
    }
    input({ type: 'start', sequence, records, cached: [] })
    input({ type: 'peers', peers: this.#configuration })
    if (!quiet) input(this.selfOf(node))
  }

  selfOf(node: Node, metadata: Readonly<Record<string, string>> = {}): Input {
    const anchor = node.index < this.options.anchors
    return { type: 'self', endpoints: [node.endpoint], anchor, metadata }
  }

  /** Gives an input now. */
  input(node: Node, input: Input): void {
    if (!node.alive) return
    for (const effect of step(node.mesh, input, this.now)) {
      this.watch(node, effect)
      this.#carryOut(node, effect)
    }
    this.#scheduleWake(node)
  }

  kill(node: Node): void {
    node.alive = false
    for (const session of this.#sessionsOf(node)) session.waiting = []
  }

  move(node: Node, endpoint: string): void {
    node.endpoint = endpoint
    this.input(node, { type: 'network' })
    this.input(node, this.selfOf(node))
  }

  /** Nothing passes between these and the others. */
  cut(nodes: readonly Node[]): void {
    this.#apart = new Set(nodes)
  }

  mend(): void {
    this.#apart = new Set()
  }

  /** Runs until `done`, asked after each event, or until the time; gives whether it was done. */
  run(until: number, done: () => boolean = () => false): boolean {
    while (this.#queue.nextAt <= until) {
      this.now = this.#queue.nextAt
      const event = this.#queue.take()
      if (event !== undefined) this.#handle(event)
      if (done()) return true
    }
    this.now = until
    return false
  }

  /** What this node would send to the others of itself, signed. */
  #recordOf(node: Node): Uint8Array {
    let record: Uint8Array | undefined
    const mesh = this.#newMesh(node.identity)
    step(mesh, { type: 'start', sequence: 0, records: [], cached: [] }, 0)
    step(mesh, { type: 'peers', peers: [] }, 0)
    for (const effect of step(mesh, this.selfOf(node), 0)) {
      if (effect.type !== 'sign') continue
      const signature = node.identity.sign(effect.domain, effect.body)
      step(mesh, { type: 'signed', token: effect.token, signature }, 0)
      record = mesh.self.record?.bytes
    }
    if (record === undefined) throw new Error('a node told of itself has signed nothing')
    return record
  }

  #newNode(index: number): Node {
    const identity = identityOf(`node ${index} of ${this.options.seed}`)
    const endpoint = `198.${18 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}:51820`
    return {
      index,
      identity,
      mesh: this.#newMesh(identity),
      endpoint,
      alive: false,
      sentBytes: 0,
      sessionBytes: 0,
      wakeAt: Infinity,
    }
  }

  #newMesh({ nodeId }: Identity): Mesh {
    const seed = this.#random.below(2 ** 32)
    return createMesh({ nodeId, seed, reader: this.#reader })
  }

  get #configuration(): Extract<Input, { type: 'peers' }>['peers'] {
    this.#peers ??= this.nodes.map(({ identity, endpoint, index }) => {
      const anchor = index < this.options.anchors
      const endpoints = anchor || this.options.knows === 'all' ? [endpoint] : []
      return { nodeId: identity.nodeId, anchor, endpoints }
    })
    return this.#peers
  }
  #peers: Extract<Input, { type: 'peers' }>['peers'] | undefined

  #scheduleWake(node: Node): void {
    const at = Math.max(this.now, nextWakeup(node.mesh))
    if (at >= node.wakeAt) return
    node.wakeAt = at
    this.#queue.add(at, { type: 'wake', node })
  }

  #handle(event: Event): void {
    switch (event.type) {
      case 'wake':
        if (event.node.wakeAt !== this.now) return
        event.node.wakeAt = Infinity
        this.input(event.node, { type: 'tick' })
        return
      case 'boot':
        event.node.alive = true
        return
      case 'input':
        this.input(event.node, event.input)
        return
      case 'retry':
        if (event.session.attempt === event.try) {
          this.#handshake(event.session, event.try.from, event.try.count)
        }
        return
      case 'open':
        this.#open(event.session, event.from)
        return
      case 'idle':
        this.#endIfIdle(event.session)
    }
  }

  #carryOut(node: Node, effect: Effect): void {
    switch (effect.type) {
      case 'send': {
        const target = this.#byId.get(effect.to)
        if (target !== undefined) this.#send(node, target, effect.kind, effect.body)
        return
      }
      case 'sign': {
        const signature = node.identity.sign(effect.domain, effect.body)
        const input = { type: 'signed', token: effect.token, signature } as const
        this.#queue.add(this.now, { type: 'input', node, input })
        return
      }
      case 'endpoints': {
        const target = this.#byId.get(effect.peer)
        if (target !== undefined) this.routes.set(node, target, effect.candidates)
        return
      }
      case 'connect': {
        const target = this.#byId.get(effect.peer)
        if (target === undefined) return
        const session = this.#session(node, target)
        const { attempt } = session
        const isSpaced = attempt?.from !== node || attempt.at + connectSpacingMs <= this.now
        if (!session.up && isSpaced) this.#handshake(session, node, attempt?.count ?? 0)
        return
      }
      default:
    }
  }

  #session(one: Node, other: Node): Session {
    const ends: readonly [Node, Node] = one.index < other.index ? [one, other] : [other, one]
    const key = ends[0].index * this.nodes.length + ends[1].index
    let session = this.#sessions.get(key)
    if (session === undefined) {
      session = { ends, up: false, attempt: null, usedAt: 0, waiting: [] }
      this.#sessions.set(key, session)
    }
    return session
  }

  #sessionsOf(node: Node): Session[] {
    return [...this.#sessions.values()].filter(({ ends }) => ends.includes(node))
  }

  #send(from: Node, to: Node, kind: number, body: Uint8Array): void {
    const session = this.#session(from, to)
    if (!session.up) {
      if (session.waiting.push({ from, kind, body }) > mostWaiting) session.waiting.shift()
      if (session.attempt === null) this.#handshake(session, from, 0)
      return
    }
    session.usedAt = this.now
    from.sentBytes += datagramBytes + Math.ceil((4 + body.length) / 16) * 16
    if (this.#isLost(from, to)) return
    const input = { type: 'message', from: from.identity.nodeId, kind, body } as const
    this.#deliver(to, input, this.#delay())
  }

  #deliver(node: Node, input: Input, delay: number): void {
    this.#queue.add(this.now + delay, { type: 'input', node, input })
  }

  #isLost(from: Node, to: Node): boolean {
    if (this.#apart.has(from) !== this.#apart.has(to)) return true
    return this.options.loss > 0 && this.#random.fraction() < this.options.loss
  }

  #delay(): number {
    const [least, most] = this.options.delayMs
    return least + this.#random.fraction() * (most - least)
  }

  /** One try; whether it works is decided by luck and by knowing where the other is. */
  #handshake(session: Session, from: Node, tries: number): void {
    const [one, other] = session.ends
    const to = from === one ? other : one
    if (!from.alive || tries >= mostTries) {
      session.attempt = null
      session.waiting = []
      if (from.alive) this.#told(from, to, 'lost')
      return
    }
    const attempt = { from, count: tries + 1, at: this.now }
    session.attempt = attempt
    from.sentBytes += openBytes.initiator
    from.sessionBytes += openBytes.initiator
    const reaches = this.routes.has(from, to, to.endpoint) && to.alive && !this.#isLost(from, to)
    if (reaches) {
      to.sentBytes += openBytes.responder
      to.sessionBytes += openBytes.responder
    }
    if (reaches && !this.#isLost(to, from)) {
      this.#queue.add(this.now + this.#delay() + this.#delay(), { type: 'open', session, from })
    } else {
      this.#queue.add(this.now + retryMs, { type: 'retry', session, try: attempt })
    }
  }

  #told(node: Node, about: Node, state: 'up' | 'idle' | 'lost', delay = 0): void {
    const endpoint = state === 'up' ? about.endpoint : null
    this.#deliver(node, { type: 'session', peer: about.identity.nodeId, state, endpoint }, delay)
  }

  #open(session: Session, from: Node): void {
    const [one, other] = session.ends
    if (session.up || !one.alive || !other.alive) return
    session.attempt = null
    session.up = true
    session.usedAt = this.now
    this.#told(from, from === one ? other : one, 'up')
    this.#told(from === one ? other : one, from, 'up', this.#delay())
    const { waiting } = session
    session.waiting = []
    for (const message of waiting) {
      const to = message.from === one ? other : one
      this.#send(message.from, to, message.kind, message.body)
    }
    this.#queue.add(this.now + idleMs, { type: 'idle', session })
  }

  /** A session that one end lost without a word ends for the other as it ends for want of traffic. */
  #endIfIdle(session: Session): void {
    if (!session.up) return
    const endsAt = session.usedAt + idleMs
    if (endsAt > this.now) {
      this.#queue.add(endsAt, { type: 'idle', session })
      return
    }
    session.up = false
    const [one, other] = session.ends
    this.#told(one, other, 'idle')
    this.#told(other, one, 'idle')
  }
}
