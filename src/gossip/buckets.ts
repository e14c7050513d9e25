/**
 * A summary of all records: for each first byte of a node id, the exclusive or of a hash of each record
 * held there. Two nodes that hold the same have the same; where a bucket differs, they compare entries.
 *
 * The hash need not resist an attacker: who finds a collision hides only its own record's change.
 */
import { bucketCount } from '../wire/messages.js'

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** The first byte of the key: the first 8 of the 10 bits of two characters. */
export function bucketOf(nodeId: string): number {
  const [first = 'a', second = 'a'] = nodeId
  return (alphabet.indexOf(first) << 3) | (alphabet.indexOf(second) >> 2)
}

/** FNV-1a, with a last mix. */
function hash(text: string): number {
  let value = 0x811c_9dc5
  for (let i = 0; i < text.length; i += 1) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x0100_0193)
  }
  value = Math.imul(value ^ (value >>> 15), 0x2c1b_3c6d)
  return (value ^ (value >>> 13)) >>> 0
}

export class Buckets {
  readonly hashes = new Uint32Array(bucketCount)

  /** Adds an entry, or takes away the same. */
  toggle(nodeId: string, sequence: number, gone: boolean): void {
    const bucket = bucketOf(nodeId)
    const before = this.hashes[bucket] ?? 0
    this.hashes[bucket] = before ^ hash(`${nodeId} ${sequence}${gone ? ' gone' : ''}`)
  }
}
