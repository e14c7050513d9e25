/**
 * Keeps the last-known-good cache up to date: which addresses of a peer have worked, over which of our
 * interfaces, and what the peer says of itself. Changes are written together, soon after the first;
 * only our own sequence number is on the disk at once. Without a store it remembers until the end.
 */
import { bounded } from '../lkg/entry.js'
import type { CachedEndpoint, CachedPeer, Store } from '../lkg/store.js'
import { messageOf } from '../errors.js'
import type { Log } from './log.js'

/** A burst of changes, as at joining, becomes one write; a crash loses no more than this. */
const writeDelayMs = 250

/** What is known of a peer at the moment of writing. */
export type Present = {
  readonly anchor: boolean
  /** Sequence number of its record; null without one. */
  readonly sequence: number | null
  readonly selfAttested: readonly string[]
  readonly observed: readonly string[]
  readonly configured: readonly string[]
  /** Paths that carry now. */
  readonly paths: readonly { readonly interface: string | null; readonly remote: string }[]
}

type Surroundings = {
  readonly store: Store | undefined
  readonly log: Log
  /** Milliseconds since 1970, for people. */
  readonly wallClock: () => number
  readonly present: (ids: readonly string[]) => ReadonlyMap<string, Present>
}

const nothing: Omit<CachedPeer, 'id'> = {
  anchor: false,
  lastSuccess: null,
  endpoints: [],
  record: null,
}

export class KnownGood {
  readonly #surroundings: Surroundings
  readonly #peers: Map<string, CachedPeer>
  readonly #changed = new Set<string>()
  #writing: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #sequence: number

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
    this.#peers = new Map(surroundings.store?.peers)
    this.#sequence = surroundings.store?.sequence ?? 0
  }

  /** The greatest sequence number that our record ever had. */
  get sequence(): number {
    return this.#sequence
  }

  get peers(): readonly CachedPeer[] {
    return [...this.#peers.values()]
  }

  /** On the disk when it returns. @throws Error when it cannot be stored */
  storeSequence(sequence: number): void {
    this.#sequence = Math.max(this.#sequence, sequence)
    this.#surroundings.store?.storeSequence(sequence)
  }

  storeRecord(id: string, record: Uint8Array): void {
    this.#update(id, { record: Buffer.from(record).toString('base64') })
  }

  /** Notes that an address of a peer works. */
  succeeded(id: string, address: string): void {
    const now = this.#surroundings.wallClock()
    const known = this.#peers.get(id)?.endpoints ?? []
    const old = known.find((endpoint) => endpoint.address === address)
    const worked: CachedEndpoint = {
      ...(old ?? { address, interface: null, source: 'observed', sequence: 0 }),
      lastSuccess: now,
    }
    const others = known.filter((endpoint) => endpoint !== old)
    this.#update(id, { lastSuccess: now, endpoints: [worked, ...others] })
  }

  /** Writes what is not written yet; resolves when it is on the disk. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const { store, log, present } = this.#surroundings
    const ids = [...this.#changed]
    this.#changed.clear()
    const now = ids.length === 0 ? new Map<string, Present>() : present(ids)
    for (const id of ids) {
      const peer = refreshed(this.#peers.get(id) ?? { id, ...nothing }, now.get(id))
      this.#peers.set(id, peer)
      if (store === undefined) continue
      const written = store.put(peer).catch((error: unknown) => {
        log.error({ peer: id, reason: messageOf(error) }, 'the cache could not be written')
      })
      this.#writing = this.#writing.then(() => written)
    }
    await this.#writing
  }

  /** Writes the rest and closes the store. */
  async close(): Promise<void> {
    await this.flush()
    await this.#surroundings.store?.close()
  }

  #update(id: string, change: Partial<CachedPeer>): void {
    this.#peers.set(id, { ...(this.#peers.get(id) ?? { id, ...nothing }), ...change })
    this.#changed.add(id)
    this.#timer ??= setTimeout(() => {
      void this.flush()
    }, writeDelayMs)
  }
}

/** The peer with what is known of it now: what worked last comes first, then its own word, then hints. */
function refreshed(peer: CachedPeer, now: Present | undefined): CachedPeer {
  if (now === undefined) return bounded(peer)
  const worked = peer.endpoints.filter(({ lastSuccess }) => lastSuccess !== null)
  const carrying = now.paths.map((path) => ({
    address: path.remote,
    interface: path.interface,
    lastSuccess: peer.lastSuccess,
  }))
  const told = [...now.selfAttested, ...now.configured, ...now.observed].map((address) => ({
    address,
    interface: null,
    lastSuccess: null,
  }))
  const endpoints = new Map<string, CachedEndpoint>()
  const addresses = new Set<string>()
  // An address alone says nothing that a path by the same address has not said.
  for (const end of [...carrying, ...worked, ...told]) {
    const { address } = end
    const key = `${end.interface ?? ''} ${address}`
    if (endpoints.has(key) || (end.interface === null && addresses.has(address))) continue
    addresses.add(address)
    const source = sourceOf(address, now)
    const sequence = source === 'self-attested' ? (now.sequence ?? 0) : 0
    endpoints.set(key, { ...end, source, sequence })
  }
  const newestFirst = [...endpoints.values()].sort(
    (left, right) => (right.lastSuccess ?? -1) - (left.lastSuccess ?? -1),
  )
  return bounded({ ...peer, anchor: now.anchor, endpoints: newestFirst })
}

function sourceOf(address: string, now: Present): CachedEndpoint['source'] {
  if (now.selfAttested.includes(address)) return 'self-attested'
  return now.configured.includes(address) ? 'configured' : 'observed'
}
