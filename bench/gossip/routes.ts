/**
 * Where each node tries each other. Most try a node in the same places, and lists of candidates never change:
 * equal ones are one object here and in the machines, so that each of millions of pairs costs a reference.
 */
import type { Candidate } from '#src/peers/exchange.js'
import type { Node } from './model.js'

export class Routes {
  /** By the index of who tries, then of who is tried. */
  readonly #lists: (readonly Candidate[] | undefined)[][]
  /** By the index of who is tried: the newest. */
  readonly #shared: (readonly Candidate[])[]

  constructor(nodes: number) {
    const every = { length: nodes }
    this.#lists = Array.from(every, () => new Array<undefined>(nodes).fill(undefined))
    this.#shared = Array.from(every, () => [])
  }

  /** Takes what the machine of `node` said of `target`; the machine, whose state is ours, holds the same. */
  set(node: Node, target: Node, candidates: readonly Candidate[]): void {
    const known = this.#shared[target.index] ?? []
    const shared = areEqual(known, candidates) ? known : candidates
    this.#shared[target.index] = shared
    this.#of(node)[target.index] = shared
    const peer = node.mesh.peers.get(target.identity.nodeId)
    if (peer !== undefined) peer.candidates = shared
  }

  /** The node has lost its memory. */
  clear(node: Node): void {
    this.#of(node).fill(undefined)
  }

  /** Whether that endpoint is among those where the node tries the other. */
  has(node: Node, other: Node, endpoint: string): boolean {
    return this.#of(node)[other.index]?.some((known) => known.endpoint === endpoint) ?? false
  }

  /** How many others it has an endpoint of. */
  count(node: Node): number {
    return this.#of(node).filter((list) => list !== undefined && list.length > 0).length
  }

  #of(node: Node): (readonly Candidate[] | undefined)[] {
    return this.#lists[node.index] ?? []
  }
}

function areEqual(some: readonly Candidate[], others: readonly Candidate[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ endpoint, source }, index) => {
      const other = others[index]
      return other?.endpoint === endpoint && other.source === source
    })
  )
}
