/**
 * The messages that nodes exchange about each other, as frames inside a session (docs/PROTOCOL.md,
 * section 7; the schema is mesh.proto).
 *
 * Invariants: `decodeMessage` is total: any bytes give a message within the limits below, or undefined. What
 * an encoder gives fits a frame. Records are carried as the bytes they came in.
 */
import { decodeNodeId, encodeNodeId } from '../config/identity.js'
import { endpointToWire, pathTypeOf } from './address.js'
import { Writer, readFields } from './protobuf.js'
import type { Field } from './protobuf.js'
import { decodeEndpoint } from './record.js'

/** A datagram of 1200 bytes over IPv6: 40 + 8 of headers, 32 of transport, 4 of frame header leave 1116. */
export const longestBody = 1116
/** Hashes of all records, by the first byte of the node id. */
export const bucketCount = 256
/** A digest with this many entries of 25 bytes and its 34 bytes of covered buckets fits a frame. */
export const mostEntries = 43

export const Kind = {
  update: 0x10,
  digest: 0x11,
  ping: 0x12,
  pingRequest: 0x13,
  ack: 0x14,
} as const

export type Suspicion = {
  readonly subject: string
  readonly sequence: number
  readonly accuser: string
}

export type Observation = { readonly subject: string; readonly endpoint: string }

export type Update = {
  readonly type: 'update'
  /** As `decodeRecord` reads them. */
  readonly records: readonly Uint8Array[]
  readonly suspicions: readonly Suspicion[]
  readonly observations: readonly Observation[]
  readonly answer: boolean
}

export type DigestEntry = {
  /** As `prefixOf` gives it. */
  readonly prefix: string
  readonly sequence: number
  readonly gone: boolean
}

export type Digest = {
  readonly type: 'digest'
  /** Empty, or `bucketCount` hashes. */
  readonly buckets: Uint32Array
  /** The buckets that the entries are complete for. */
  readonly covered: readonly number[]
  readonly entries: readonly DigestEntry[]
  /** Prefixes whose records are asked for. */
  readonly wanted: readonly string[]
  readonly answer: boolean
}

/** `suspected` is the sequence number at which the sender suspects the receiver, or 0. */
export type Ping = { readonly type: 'ping'; readonly token: number; readonly suspected: number }
export type PingRequest = {
  readonly type: 'pingRequest'
  readonly token: number
  readonly target: string
}
export type Ack = { readonly type: 'ack'; readonly token: number; readonly unreached: boolean }

export type MeshMessage = Update | Digest | Ping | PingRequest | Ack

/** A node id by its first 10 bytes, which are 16 characters: short, and unlike that of any other key. */
export function prefixOf(nodeId: string): string {
  return nodeId.slice(0, 16)
}

function prefixBytes(prefix: string): Uint8Array {
  return key(prefix.padEnd(52, 'a')).subarray(0, 10)
}

function prefixFrom(bytes: Uint8Array | undefined): string | undefined {
  return bytes?.length === 10 ? encodeNodeId(bytes) : undefined
}

function key(nodeId: string): Uint8Array {
  return decodeNodeId(nodeId) ?? new Uint8Array(32)
}

export function encodeSuspicion({ subject, sequence, accuser }: Suspicion): Uint8Array {
  return new Writer().bytes(1, key(subject)).uint(2, sequence).bytes(3, key(accuser)).finish()
}

export function encodeObservation({ subject, endpoint }: Observation): Uint8Array | undefined {
  const wire = endpointToWire(endpoint)
  if (wire === undefined) return undefined
  const { address, port } = wire
  const inner = new Writer().bytes(1, address).uint(2, port).uint(3, pathTypeOf(wire))
  return new Writer().bytes(1, key(subject)).message(2, inner).finish()
}

/** An update of parts that were encoded before; the caller keeps within `longestBody`. */
export function encodeUpdate(parts: {
  readonly records?: readonly Uint8Array[]
  readonly suspicions?: readonly Uint8Array[]
  readonly observations?: readonly Uint8Array[]
  readonly answer?: boolean
}): Uint8Array {
  const writer = new Writer()
  for (const record of parts.records ?? []) writer.bytes(1, record)
  for (const suspicion of parts.suspicions ?? []) writer.bytes(2, suspicion)
  for (const observation of parts.observations ?? []) writer.bytes(3, observation)
  return writer.bool(4, parts.answer ?? false).finish()
}

/** What a part costs in an update: a key of one byte, and a length of one or two. */
export function costOf(part: Uint8Array): number {
  return part.length + (part.length < 128 ? 2 : 3)
}

/** Hashes in little-endian order. */
function bucketBytes(buckets: Uint32Array): Uint8Array {
  const bytes = Buffer.alloc(buckets.length * 4)
  buckets.forEach((hash, index) => bytes.writeUInt32LE(hash, index * 4))
  return bytes
}

function coveredBytes(covered: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(bucketCount / 8)
  for (const bucket of covered) {
    bytes[bucket >> 3] = (bytes[bucket >> 3] ?? 0) | (1 << (bucket & 7))
  }
  return bytes
}

export function encodeDigest(digest: Partial<Omit<Digest, 'type'>>): Uint8Array {
  const { buckets, covered = [], entries = [], wanted = [], answer = false } = digest
  const writer = new Writer()
  if (buckets !== undefined && buckets.length > 0) writer.bytes(1, bucketBytes(buckets))
  if (covered.length > 0) writer.bytes(2, coveredBytes(covered))
  for (const { prefix, sequence, gone } of entries) {
    const inner = new Writer().bytes(1, prefixBytes(prefix))
    writer.message(3, inner.uint(2, sequence).bool(3, gone))
  }
  for (const prefix of wanted) writer.bytes(4, prefixBytes(prefix))
  return writer.bool(5, answer).finish()
}

export function encodePing({ token, suspected }: Omit<Ping, 'type'>): Uint8Array {
  return new Writer().uint(1, token).uint(2, suspected).finish()
}

export function encodePingRequest({ token, target }: Omit<PingRequest, 'type'>): Uint8Array {
  return new Writer().uint(1, token).bytes(2, key(target)).finish()
}

export function encodeAck({ token, unreached }: Omit<Ack, 'type'>): Uint8Array {
  return new Writer().uint(1, token).bool(2, unreached).finish()
}

/** The varints and byte strings of a message, by field number; the last of equals counts. */
function scalars(
  bytes: Uint8Array,
): { readonly uint: Map<number, number>; readonly bytes: Map<number, Uint8Array> } | undefined {
  const found = { uint: new Map<number, number>(), bytes: new Map<number, Uint8Array>() }
  const wellFormed = readFields(bytes, (field) => {
    if (field.type === 'varint') found.uint.set(field.number, field.value)
    else found.bytes.set(field.number, field.bytes)
    return true
  })
  return wellFormed ? found : undefined
}

function nodeIdOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes?.length === 32 ? encodeNodeId(bytes) : undefined
}

function decodeSuspicion(bytes: Uint8Array): Suspicion | undefined {
  const found = scalars(bytes)
  const subject = nodeIdOf(found?.bytes.get(1))
  const accuser = nodeIdOf(found?.bytes.get(3))
  if (subject === undefined || accuser === undefined) return undefined
  return { subject, sequence: found?.uint.get(2) ?? 0, accuser }
}

/** Null for an endpoint of a type that this version does not know, or that may not be used. */
function decodeObservation(bytes: Uint8Array): Observation | null | undefined {
  const found = scalars(bytes)
  const subject = nodeIdOf(found?.bytes.get(1))
  const inner = found?.bytes.get(2)
  if (subject === undefined || inner === undefined) return undefined
  const decoded = decodeEndpoint(inner)
  if ('problem' in decoded) return decoded.problem === 'address' ? null : undefined
  return decoded.endpoint === null ? null : { subject, endpoint: decoded.endpoint }
}

function decodeUpdate(bytes: Uint8Array): Update | undefined {
  const records: Uint8Array[] = []
  const suspicions: Suspicion[] = []
  const observations: Observation[] = []
  let answer = false
  const wellFormed = readFields(bytes, (field) => {
    if (field.number === 4 && field.type === 'varint') answer = field.value !== 0
    if (field.type !== 'bytes') return true
    if (field.number === 1) records.push(field.bytes)
    if (field.number === 2) {
      const suspicion = decodeSuspicion(field.bytes)
      return suspicion !== undefined && suspicions.push(suspicion) > 0
    }
    if (field.number === 3) {
      const observation = decodeObservation(field.bytes)
      if (observation) observations.push(observation)
      return observation !== undefined
    }
    return true
  })
  return wellFormed ? { type: 'update', records, suspicions, observations, answer } : undefined
}

function decodeEntry(bytes: Uint8Array): DigestEntry | undefined {
  const found = scalars(bytes)
  const prefix = prefixFrom(found?.bytes.get(1))
  if (found === undefined || prefix === undefined) return undefined
  return {
    prefix,
    sequence: found.uint.get(2) ?? 0,
    gone: (found.uint.get(3) ?? 0) !== 0,
  }
}

/** A digest while it is read. */
class DigestDraft {
  buckets = new Uint32Array(0)
  covered: number[] = []
  readonly entries: DigestEntry[] = []
  readonly wanted: string[] = []
  answer = false

  readonly take = (field: Field): boolean => {
    if (field.number === 5 && field.type === 'varint') this.answer = field.value !== 0
    if (field.type === 'varint') return true
    if (field.number === 1) return this.#takeBuckets(field.bytes)
    if (field.number === 2) return this.#takeCovered(field.bytes)
    if (field.number === 3) {
      const entry = decodeEntry(field.bytes)
      return entry !== undefined && this.entries.push(entry) > 0
    }
    if (field.number === 4) return this.#takeWanted(field.bytes)
    return true
  }

  #takeBuckets(bytes: Uint8Array): boolean {
    if (bytes.length !== bucketCount * 4) return false
    const buffer = Buffer.from(bytes)
    this.buckets = Uint32Array.from({ length: bucketCount }, (_, i) => buffer.readUInt32LE(i * 4))
    return true
  }

  #takeCovered(bytes: Uint8Array): boolean {
    if (bytes.length !== bucketCount / 8) return false
    this.covered = Array.from({ length: bucketCount }, (_, bucket) => bucket).filter(
      (bucket) => ((bytes[bucket >> 3] ?? 0) >> (bucket & 7)) & 1,
    )
    return true
  }

  #takeWanted(bytes: Uint8Array): boolean {
    const prefix = prefixFrom(bytes)
    return prefix !== undefined && this.wanted.push(prefix) > 0
  }
}

function decodeDigest(bytes: Uint8Array): Digest | undefined {
  const draft = new DigestDraft()
  if (!readFields(bytes, draft.take)) return undefined
  const { buckets, covered, entries, wanted, answer } = draft
  return { type: 'digest', buckets, covered, entries, wanted, answer }
}

function decodeProbe(kind: number, bytes: Uint8Array): Ping | PingRequest | Ack | undefined {
  const found = scalars(bytes)
  const token = found?.uint.get(1) ?? 0
  if (found === undefined || token > 0xffff_ffff) return undefined
  if (kind === Kind.ping) return { type: 'ping', token, suspected: found.uint.get(2) ?? 0 }
  if (kind === Kind.ack) return { type: 'ack', token, unreached: (found.uint.get(2) ?? 0) !== 0 }
  const target = nodeIdOf(found.bytes.get(2))
  return target === undefined ? undefined : { type: 'pingRequest', token, target }
}

/** The message in a body, or why there is none. */
export function decodeMessage(
  kind: number,
  body: Uint8Array,
): MeshMessage | 'kind' | 'oversized' | 'malformed' {
  if (body.length > longestBody) return 'oversized'
  switch (kind) {
    case Kind.update:
      return decodeUpdate(body) ?? 'malformed'
    case Kind.digest:
      return decodeDigest(body) ?? 'malformed'
    case Kind.ping:
    case Kind.pingRequest:
    case Kind.ack:
      return decodeProbe(kind, body) ?? 'malformed'
    default:
      return 'kind'
  }
}
