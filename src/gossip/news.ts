/**
 * What is being told to random neighbours: the newest of each kind about each subject, each told a
 * bounded number of times, what was told least first (SWIM, Das et al., section 4.1).
 *
 * Invariant: one entry for each kind and subject, so its size is bounded by the configuration.
 */
import { costOf } from '../wire/messages.js'

type Entry = { readonly kind: 'record' | 'suspicion'; readonly part: Uint8Array; told: number }

export type Batch = { readonly records: Uint8Array[]; readonly suspicions: Uint8Array[] }

export class News {
  readonly #entries = new Map<string, Entry>()

  get isEmpty(): boolean {
    return this.#entries.size === 0
  }

  /** Replaces what was told of the same kind about the subject. */
  add(kind: Entry['kind'], subject: string, part: Uint8Array): void {
    this.#entries.set(`${kind} ${subject}`, { kind, part, told: 0 })
  }

  drop(kind: Entry['kind'], subject: string): void {
    this.#entries.delete(`${kind} ${subject}`)
  }

  /** Parts for one neighbour that fit `room` bytes; what was told `limit` times is forgotten. */
  take(room: number, limit: number): Batch {
    const batch: Batch = { records: [], suspicions: [] }
    let left = room
    const byTold = [...this.#entries].sort(([, one], [, other]) => one.told - other.told)
    for (const [key, entry] of byTold) {
      const cost = costOf(entry.part)
      if (cost > left) continue
      left -= cost
      batch[entry.kind === 'record' ? 'records' : 'suspicions'].push(entry.part)
      entry.told += 1
      if (entry.told >= limit) this.#entries.delete(key)
    }
    return batch
  }
}
