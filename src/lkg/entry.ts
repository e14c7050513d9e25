/**
 * What the last-known-good cache keeps of a peer, its bounds, and its bytes: eight bytes of SHA-256
 * over the JSON that follows them. Reading is total: bytes that were not written here give undefined.
 */
import { createHash } from 'node:crypto'

/** Grows when an older program would misread what is stored. */
export const storeVersion = 1

/** Where in the file what is. */
export const keys = {
  version: 'version',
  sequence: 'sequence',
  peer: (id: string): string => `peer/${id}`,
} as const

/** Peers kept; the largest networks simulated have 5,000 nodes, of which one meets a part. */
export const mostPeers = 1_024
/** As many as a configuration may give one peer. */
export const mostEndpoints = 16
/** A signed record fits in a datagram of 1,200 bytes. */
const largestRecord = 1_200
const digestLength = 8

/** Where an address came from: the peer's own word, somebody who saw it, or a session that worked. */
const endpointSources = ['self-attested', 'observed', 'configured'] as const
type EndpointSource = (typeof endpointSources)[number]

/** An address of a peer, as tried from one of our interfaces. */
export type CachedEndpoint = {
  /** `ip:port` or `[ip]:port`. */
  readonly address: string
  /** Our interface of the path; null while none has worked. */
  readonly interface: string | null
  readonly source: EndpointSource
  /** Sequence number of the peer's record that named it; 0 when none did. */
  readonly sequence: number
  /** Wall-clock milliseconds, or null when it has never worked. */
  readonly lastSuccess: number | null
}

export type CachedPeer = {
  readonly id: string
  readonly anchor: boolean
  /** Wall-clock milliseconds of the last session. */
  readonly lastSuccess: number | null
  /** Best first: what worked last is tried first. */
  readonly endpoints: readonly CachedEndpoint[]
  /** The peer's signed record in base64. */
  readonly record: string | null
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest().subarray(0, digestLength)
}

export function encodeEntry(value: unknown): Buffer {
  const text = JSON.stringify(value)
  return Buffer.concat([digestOf(text), Buffer.from(text)])
}

/** The value that `encodeEntry` was given, or undefined when a byte has changed. */
export function decodeEntry(bytes: Uint8Array): unknown {
  const text = Buffer.from(bytes.subarray(digestLength)).toString('utf8')
  if (!digestOf(text).equals(bytes.subarray(0, digestLength))) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

type Fields = Readonly<Record<string, unknown>>
const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null
const isInstant = (value: unknown): value is number | null =>
  value === null || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)

export function isSequence(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function endpointIn(value: unknown): CachedEndpoint | undefined {
  if (!isRecord(value)) return undefined
  const { address, interface: name, sequence, lastSuccess } = value
  const source = endpointSources.find((known) => known === value['source'])
  if (typeof address !== 'string' || source === undefined) return undefined
  if (name !== null && typeof name !== 'string') return undefined
  if (!isSequence(sequence) || !isInstant(lastSuccess)) return undefined
  return { address, interface: name, source, sequence, lastSuccess }
}

/** The peer that a decoded entry tells of, or undefined when it is none of this version. */
export function peerIn(value: unknown): CachedPeer | undefined {
  if (!isRecord(value)) return undefined
  const { id, anchor, lastSuccess, endpoints, record } = value
  if (typeof id !== 'string' || typeof anchor !== 'boolean' || !isInstant(lastSuccess)) {
    return undefined
  }
  if (!Array.isArray(endpoints) || (record !== null && typeof record !== 'string')) return undefined
  const known = endpoints.map(endpointIn).filter((endpoint) => endpoint !== undefined)
  if (known.length !== endpoints.length) return undefined
  return bounded({ id, anchor, lastSuccess, endpoints: known, record })
}

/** The peer with no more than the cache keeps of one. */
export function bounded(peer: CachedPeer): CachedPeer {
  const { record } = peer
  const fits = record === null || Buffer.byteLength(record, 'base64') <= largestRecord
  const endpoints = peer.endpoints.slice(0, mostEndpoints)
  return { ...peer, endpoints, record: fits ? record : null }
}

/** Which of two peers the cache gives up first: one never met, then the one met longest ago. */
export function byUse(left: CachedPeer, right: CachedPeer): number {
  if (left.anchor !== right.anchor) return left.anchor ? 1 : -1
  return (left.lastSuccess ?? 0) - (right.lastSuccess ?? 0)
}
