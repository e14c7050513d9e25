/** Checks signatures of other nodes: Ed25519 under a domain (docs/PROTOCOL.md, section 1.4). */
import { createPublicKey, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { decodeNodeId } from '../config/identity.js'
import type { Verify } from './mesh.js'

/** SubjectPublicKeyInfo of an Ed25519 key up to the key itself (RFC 8410 section 4). */
const keyPrefix = Buffer.from('302a300506032b6570032100', 'hex')
/** Keys kept ready; as many as a configuration may name. */
const mostKeys = 4_096

function keyOf(nodeId: string): KeyObject | undefined {
  const raw = decodeNodeId(nodeId)
  if (raw === undefined) return undefined
  return createPublicKey({ key: Buffer.concat([keyPrefix, raw]), format: 'der', type: 'spki' })
}

/** A verifier that keeps the keys it has met. */
export function createVerifier(): Verify {
  const keys = new Map<string, KeyObject>()
  return (nodeId, domain, body, signature) => {
    let key = keys.get(nodeId)
    if (key === undefined) {
      key = keyOf(nodeId)
      if (key === undefined) return false
      if (keys.size >= mostKeys) keys.clear()
      keys.set(nodeId, key)
    }
    const name = Buffer.from(domain)
    const length = Buffer.alloc(8)
    length.writeUInt32LE(name.length)
    return verify(null, Buffer.concat([length, name, body]), key, signature)
  }
}
