/** Signatures of nodes (docs/PROTOCOL.md, section 1.4), as far as JavaScript goes: only to be verified. */
import { createPublicKey, verify } from 'node:crypto'
import { decodeNodeId } from '../config/identity.js'

/** RFC 8410 section 4: what stands before the 32 bytes of an Ed25519 key in DER. */
const derPrefix = Buffer.from('302a300506032b6570032100', 'hex')

/** `length || domain || body`, the message that is signed. */
export function signedMessage(domain: string, body: Uint8Array): Uint8Array {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(domain)))
  return Buffer.concat([length, Buffer.from(domain), body])
}

/** Whether the signature over `domain` and `body` is the node's. */
export function isSignedBy(
  nodeId: string,
  domain: string,
  body: Uint8Array,
  signature: Uint8Array,
): boolean {
  const key = decodeNodeId(nodeId)
  if (key === undefined || signature.length !== 64) return false
  try {
    const der = Buffer.concat([derPrefix, key])
    const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
    return verify(null, signedMessage(domain, body), publicKey, signature)
  } catch {
    // OpenSSL throws on what is no point of the curve: nobody's signature.
    return false
  }
}
