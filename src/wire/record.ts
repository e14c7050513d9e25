/**
 * Records: what a node says of itself, signed by it (docs/PROTOCOL.md, section 7.2).
 *
 * Invariant: `decodeRecord` is total; what it gives is within every limit below. Whether the signature
 * holds is asked of nobody here.
 */
import { decodeNodeId, encodeNodeId } from '../config/identity.js'
import { PathType, endpointToText, endpointToWire, isUsable, pathTypeOf } from './address.js'
import { Writer, readFields, textOf } from './protobuf.js'
import type { Field } from './protobuf.js'

/** What a node says of its own part in the mesh. */
export type Phase = 'joining' | 'joined' | 'leaving' | 'left'

/** By their numbers in the schema; number 0 is none. */
const phases: readonly Phase[] = ['joining', 'joined', 'leaving', 'left']

export const recordDomain = 'whalescale record v1'

/** As many addresses as PATH_ANNOUNCE carries, so a peer has no more of us to probe. */
export const mostEndpoints = 8
/** Room for a name, a version and a few labels, and still several records to a datagram. */
const mostMetadata = 8
const longestKey = 32
const longestValue = 128
const longestMetadata = 256
/** A record at all limits has 630 bytes. */
const longestRecord = 640

export type NodeRecord = {
  readonly nodeId: string
  /** From 1 to 2^53 - 1. */
  readonly sequence: number
  readonly phase: Phase
  readonly anchor: boolean
  readonly endpoints: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
}

export type SignedRecord = NodeRecord & {
  /** The bytes that the signature is of. */
  readonly body: Uint8Array
  readonly signature: Uint8Array
}

/** Why bytes are not taken for a record. */
export type RecordProblem = 'malformed' | 'oversized' | 'address'

/** Why this is no metadata that fits a record, or undefined when it is. */
export function problemOfMetadata(metadata: NodeRecord['metadata']): string | undefined {
  const entries = Object.entries(metadata)
  const size = (text: string): number => Buffer.byteLength(text)
  if (entries.length > mostMetadata) return `has more than ${mostMetadata} entries`
  if (entries.some(([key]) => key === '' || size(key) > longestKey)) {
    return `has a key that is empty or longer than ${longestKey} bytes`
  }
  if (entries.some(([, value]) => size(value) > longestValue)) {
    return `has a value longer than ${longestValue} bytes`
  }
  const total = entries.reduce((sum, [key, value]) => sum + size(key) + size(value), 0)
  return total > longestMetadata ? `is longer than ${longestMetadata} bytes` : undefined
}

/** The bytes to sign. Endpoints that no peer may be told of are left out. */
export function encodeRecord(record: NodeRecord): Uint8Array {
  const writer = new Writer()
    .bytes(1, decodeNodeId(record.nodeId) ?? new Uint8Array(32))
    .uint(2, record.sequence)
    .uint(3, phases.indexOf(record.phase) + 1)
    .bool(4, record.anchor)
  const usable = record.endpoints.map(endpointToWire).filter((wire) => wire !== undefined)
  for (const wire of usable.filter(isUsable).slice(0, mostEndpoints)) {
    writer.message(
      5,
      new Writer().bytes(1, wire.address).uint(2, wire.port).uint(3, pathTypeOf(wire)),
    )
  }
  for (const [key, value] of Object.entries(record.metadata)) {
    writer.message(6, new Writer().text(1, key).text(2, value))
  }
  return writer.finish()
}

export function encodeSignedRecord(body: Uint8Array, signature: Uint8Array): Uint8Array {
  return new Writer().bytes(1, body).bytes(2, signature).finish()
}

const nothing: Uint8Array = new Uint8Array(0)

/** The endpoint in the bytes; null for one of a type that this version does not know. */
export function decodeEndpoint(
  bytes: Uint8Array,
): { readonly endpoint: string | null } | { readonly problem: RecordProblem } {
  const found = { address: nothing, port: 0, type: 0 }
  const wellFormed = readFields(bytes, (field) => {
    if (field.number === 1 && field.type === 'bytes') found.address = field.bytes
    else if (field.number === 2 && field.type === 'varint') found.port = field.value
    else if (field.number === 3 && field.type === 'varint') found.type = field.value
    return true
  })
  if (!wellFormed) return { problem: 'malformed' }
  if (found.type > PathType.lan) return { endpoint: null }
  const size = { 0: 0, 1: 4, 2: 16, 3: found.address.length }[found.type]
  if (found.address.length !== size) return { problem: 'malformed' }
  return isUsable(found) ? { endpoint: endpointToText(found) } : { problem: 'address' }
}

function decodeMetadata(bytes: Uint8Array): [string, string] | undefined {
  let [key, value]: (string | undefined)[] = ['', '']
  const wellFormed = readFields(bytes, (field) => {
    if (field.number === 1 && field.type === 'bytes') key = textOf(field.bytes)
    else if (field.number === 2 && field.type === 'bytes') value = textOf(field.bytes)
    return true
  })
  return wellFormed && key !== undefined && value !== undefined ? [key, value] : undefined
}

/** A record while it is read. */
class Draft {
  nodeId = nothing
  sequence = 0
  phase = 0
  anchor = false
  readonly endpoints: string[] = []
  readonly metadata = new Map<string, string>()
  problem: RecordProblem = 'malformed'

  readonly take = (field: Field): boolean => {
    if (field.type === 'varint') {
      if (field.number === 2) this.sequence = field.value
      else if (field.number === 3) this.phase = field.value
      else if (field.number === 4) this.anchor = field.value !== 0
    } else if (field.number === 1) this.nodeId = field.bytes
    else if (field.number === 5) return this.#takeEndpoint(field.bytes)
    else if (field.number === 6) return this.#takeMetadata(field.bytes)
    return true
  }

  #takeEndpoint(bytes: Uint8Array): boolean {
    const decoded = decodeEndpoint(bytes)
    if ('problem' in decoded) {
      this.problem = decoded.problem
      return false
    }
    if (decoded.endpoint !== null) this.endpoints.push(decoded.endpoint)
    return this.endpoints.length <= mostEndpoints
  }

  #takeMetadata(bytes: Uint8Array): boolean {
    const entry = decodeMetadata(bytes)
    if (entry === undefined || this.metadata.has(entry[0])) return false
    this.metadata.set(...entry)
    return this.metadata.size <= mostMetadata
  }
}

/** One object for all records without metadata, which are most. */
const noMetadata = Object.freeze({})

function decodeBody(body: Uint8Array): NodeRecord | RecordProblem {
  const draft = new Draft()
  if (!readFields(body, draft.take)) return draft.problem
  const phase = phases[draft.phase - 1]
  if (draft.nodeId.length !== 32 || draft.sequence < 1 || phase === undefined) return 'malformed'
  const metadata = draft.metadata.size === 0 ? noMetadata : Object.fromEntries(draft.metadata)
  if (problemOfMetadata(metadata) !== undefined) return 'malformed'
  const { sequence, anchor, endpoints } = draft
  return { nodeId: encodeNodeId(draft.nodeId), sequence, phase, anchor, endpoints, metadata }
}

export function decodeRecord(bytes: Uint8Array): SignedRecord | RecordProblem {
  if (bytes.length > longestRecord) return 'oversized'
  let [body, signature] = [nothing, nothing]
  const wellFormed = readFields(bytes, (field) => {
    if (field.number === 1 && field.type === 'bytes') body = field.bytes
    else if (field.number === 2 && field.type === 'bytes') signature = field.bytes
    return true
  })
  if (!wellFormed || signature.length !== 64) return 'malformed'
  const record = decodeBody(body)
  return typeof record === 'string' ? record : { ...record, body, signature }
}
