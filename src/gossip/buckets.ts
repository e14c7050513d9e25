/**
 * A summary of all records: for each first byte of a node id, the exclusive or of a hash of each record
 * held there. Two nodes that hold the same have the same; where a bucket differs, they compare entries.
 *
 * The hash need not resist an attacker: who finds a collision hides only its own record's change.
 */
import { bucketCount } from '../wire/messages.js'

/** The 5 bits of a character of base32: a to z, then 2 to 7. */
function bitsAt(nodeId: string, index: number): number {
  const code = nodeId.charCodeAt(index)
  return code >= 97 ? code - 97 : code - 24
}

/** The first byte of the key: the first 8 of the 10 bits of two characters. */
export function bucketOf(nodeId: string): number {
  return (bitsAt(nodeId, 0) << 3) | (bitsAt(nodeId, 1) >> 2)
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
