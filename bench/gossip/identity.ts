/** Real keys, real signatures, each made and verified once: thousands of nodes see the same bytes. */
import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { encodeNodeId } from '#src/config/identity.js'
import { recordReader } from '#src/node/mesh.js'
import type { MeshOptions } from '#src/node/mesh.js'
import type { HeldRecord } from '#src/peers/state.js'
import type { SignedRecord } from '#src/wire/record.js'
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

type Reader = MeshOptions['reader']
type Decoded = ReturnType<Reader['decode']>

/**
 * The shipped reader, asked once for each bytes: what it gives is never changed, so all nodes of a process
 * may hold the same.
 */
export function sharedReader(): Reader {
  const shipped = recordReader(isSignedBy)
  const byBytes = new Map<string, Decoded>()
  /** A start gives every node the same arrays, each a buffer of its own: no need to look at the bytes. */
  const byArray = new Map<Uint8Array, Decoded>()
  const authentic = new Map<SignedRecord, boolean>()
  const kept = new Map<SignedRecord, HeldRecord>()
  const decode = (bytes: Uint8Array): Decoded =>
    found(byBytes, latin1(bytes), () => shipped.decode(bytes.slice()))
  return {
    decode: (bytes) =>
      bytes.length === bytes.buffer.byteLength
        ? found(byArray, bytes, () => decode(bytes))
        : decode(bytes),
    isAuthentic: (record) => found(authentic, record, () => shipped.isAuthentic(record)),
    keep: (record, bytes) => found(kept, record, () => shipped.keep(record, bytes)),
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

function found<Key, Value>(
  known: { get(key: Key): Value | undefined; set(key: Key, value: Value): unknown },
  key: Key,
  make: () => Value,
): Value {
  let value = known.get(key)
  if (value === undefined) {
    value = make()
    known.set(key, value)
  }
  return value
}
