/**
 * What is being told to random neighbours: the newest record of each peer, and who suspects whom. Each is
 * told a bounded number of times, what was told least first (SWIM, Das et al., section 4.1).
 *
 * Invariant: one record, and as many suspicions as count, for each peer: the configuration bounds its size.
 */
import { costOf } from '../wire/messages.js'

type Entry = { readonly kind: 'record' | 'suspicion'; readonly part: Uint8Array; told: number }

export type Batch = { readonly records: Uint8Array[]; readonly suspicions: Uint8Array[] }

export class News {
  readonly #entries = new Map<string, Entry>()

  get isEmpty(): boolean {
    return this.#entries.size === 0
  }

  /** Replaces what was told of the same kind under the same key. */
  add(kind: Entry['kind'], key: string, part: Uint8Array): void {
    this.#entries.set(`${kind} ${key}`, { kind, part, told: 0 })
  }

  drop(kind: Entry['kind'], key: string): void {
    this.#entries.delete(`${kind} ${key}`)
  }

  /** What to tell one neighbour: `most` batches that fit `room` bytes each, nothing twice. */
  take(room: number, most: number, limit: number): Batch[] {
    const byTold = [...this.#entries].sort(([, one], [, other]) => one.told - other.told)
    const batches: Batch[] = []
    let left = 0
    for (const [key, entry] of byTold) {
      const cost = costOf(entry.part)
      if (cost > left) {
        if (batches.length === most) break
        batches.push({ records: [], suspicions: [] })
        left = room
      }
      left -= cost
      batches.at(-1)?.[entry.kind === 'record' ? 'records' : 'suspicions'].push(entry.part)
      entry.told += 1
      if (entry.told >= limit) this.#entries.delete(key)
    }
    return batches
  }
}
