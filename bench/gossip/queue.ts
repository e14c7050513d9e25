/** Events in order of time, and of insertion at one time: a binary heap. */

interface Entry<Event> {
  readonly at: number
  readonly order: number
  readonly event: Event
}

export class EventQueue<Event> {
  readonly #heap: Entry<Event>[] = []
  #order = 0

  /** Infinity when there is none. */
  get nextAt(): number {
    return this.#heap[0]?.at ?? Infinity
  }

  add(at: number, event: Event): void {
    const entry = { at, order: this.#order++, event }
    let index = this.#heap.push(entry) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = this.#heap[parent]
      if (above === undefined || isBefore(above, entry)) break
      this.#heap[index] = above
      index = parent
    }
    this.#heap[index] = entry
  }

  take(): Event | undefined {
    const [first] = this.#heap
    const last = this.#heap.pop()
    if (first === undefined || last === undefined) return undefined
    if (this.#heap.length > 0) this.#sink(last)
    return first.event
  }

  #sink(entry: Entry<Event>): void {
    let index = 0
    for (;;) {
      const left = this.#heap[2 * index + 1]
      const right = this.#heap[2 * index + 2]
      const child = right !== undefined && left !== undefined && isBefore(right, left) ? 2 : 1
      const below = child === 2 ? right : left
      if (below === undefined || isBefore(entry, below)) break
      this.#heap[index] = below
      index = 2 * index + child
    }
    this.#heap[index] = entry
  }
}

function isBefore<Event>(one: Entry<Event>, other: Entry<Event>): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order)
}
