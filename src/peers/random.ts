/**
 * The mesh machine's own generator (sfc32 of PractRand): seeded, so that equal inputs give equal runs.
 * Not for secrets.
 */
export class Random {
  #a: number
  #b: number
  #c = 0x9e37_79b9
  #count = 1

  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = Math.imul(seed, 0x85eb_ca6b) | 0
    for (let i = 0; i < 12; i += 1) this.#next()
  }

  /** Below 1, never below 0. */
  fraction(): number {
    return this.#next() / 2 ** 32
  }

  /** A whole number below `limit`, which is at least 1. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit)
  }

  /** `span`, a quarter more or less. */
  around(span: number): number {
    return span * (0.75 + this.fraction() / 2)
  }

  /** In place. */
  shuffle<Item>(items: Item[]): Item[] {
    for (let i = items.length - 1; i > 0; i -= 1) this.#swap(items, i, this.below(i + 1))
    return items
  }

  /** At most `count` of them, none twice; `items` is reordered. */
  sample<Item>(items: Item[], count: number): Item[] {
    const taken = Math.min(count, items.length)
    for (let i = 0; i < taken; i += 1) this.#swap(items, i, i + this.below(items.length - i))
    return items.slice(0, taken)
  }

  #swap(items: unknown[], i: number, j: number): void {
    ;[items[i], items[j]] = [items[j], items[i]]
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#count) | 0
    this.#count = (this.#count + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }
}
