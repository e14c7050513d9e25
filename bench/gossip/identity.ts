/** Real keys, real signatures, each made and verified once: thousands of nodes see the same bytes. */
import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { encodeNodeId } from '#src/config/identity.js'
import { recordReader } from '#src/node/mesh.js'
import type { MeshOptions } from '#src/node/mesh.js'
import { isSignedBy, signedMessage } from '#src/wire/signature.js'

export interface Identity {
  readonly nodeId: string
  readonly sign: (domain: string, body: Uint8Array) => Uint8Array
}

/** RFC 8410 section 7: what stands before the 32 bytes of a seed in PKCS 8. */
const derPrefix = Buffer.from('302e020100300506032b657004220420', 'hex')

export function identityOf(name: string): Identity {
  const seed = createHash('sha256').update(name).digest()
  const der = Buffer.concat([derPrefix, seed])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return {
    nodeId: encodeNodeId(rawPublicKey(key)),
    sign: (domain, body) => sign(null, signedMessage(domain, body), key),
  }
}

function rawPublicKey(key: KeyObject): Uint8Array {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
}

/** The shipped reader, with a memory that all nodes share. */
export function sharedReader(): MeshOptions['reader'] {
  const shipped = recordReader(isSignedBy)
  const decoded = new Map<string, ReturnType<typeof shipped.decode>>()
  const authentic = new Map<string, boolean>()
  const keyOf = (bytes: Uint8Array): string =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  return {
    decode: (bytes) => {
      const key = keyOf(bytes)
      let record = decoded.get(key)
      if (record === undefined) {
        record = shipped.decode(bytes.slice())
        decoded.set(key, record)
      }
      return record
    },
    isAuthentic: (record) => {
      const key = keyOf(record.signature) + keyOf(record.body)
      let result = authentic.get(key)
      if (result === undefined) {
        result = shipped.isAuthentic(record)
        authentic.set(key, result)
      }
      return result
    },
  }
}
