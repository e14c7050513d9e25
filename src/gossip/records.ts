/**
 * Judging records that others pass on. Only what a configured peer signed, under a greater sequence number
 * than all before, is held and passed on; all else is rejected and counted.
 */
import { refreshCandidates } from '../peers/candidates.js'
import { hold } from '../peers/membership.js'
import { reject } from '../peers/state.js'
import type { HeldRecord, Peer, State, Turn } from '../peers/state.js'
import { isLocalEndpoint } from '../wire/address.js'
import type { SignedRecord } from '../wire/record.js'
import { fine } from './allowance.js'
import { publish } from './self.js'

/** A forged signature costs the neighbour as much as eight messages: it cost us a verification. */
const forgeryFine = 8

/** Queues a record for a neighbour that asked for it, or needs it. */
export function answerWith(state: State, neighbour: Peer, nodeId: string): void {
  const answers = state.answers.get(neighbour) ?? new Set()
  answers.add(nodeId)
  state.answers.set(neighbour, answers)
}

const none: readonly never[] = []

/** All is copied: the bytes belong to a datagram, and arrays that grew while they were read have room left. */
export function keepRecord(record: SignedRecord, bytes: Uint8Array): HeldRecord {
  const { sequence, phase, anchor, metadata } = record
  const endpoints = record.endpoints.slice()
  const local = endpoints.some(isLocalEndpoint) ? endpoints.filter(isLocalEndpoint).slice() : none
  return { bytes: bytes.slice(), sequence, phase, anchor, endpoints, local, metadata }
}

function isAuthentic(turn: Turn, from: Peer, record: SignedRecord): boolean {
  if (turn.state.reader.isAuthentic(record)) return true
  reject(turn, 'signature', from.id)
  if (from.allowance !== null) fine(from.allowance, forgeryFine)
  return false
}

/** Our own record comes back. One that we do not know is of an earlier run that was forgotten. */
function takeOwn(turn: Turn, from: Peer, bytes: Uint8Array, record: SignedRecord): void {
  const { state, effects } = turn
  const { self } = state
  if (record.sequence < self.sequence) {
    if (self.record !== null && record.sequence < self.record.sequence) {
      answerWith(state, from, self.nodeId)
    }
    return
  }
  if (self.record !== null && Buffer.compare(self.record.bytes, bytes) === 0) return
  // Under the number that was on disk at the start: our next record is newer by itself.
  const isFirst = self.record === null && self.draft === null
  if (isFirst && record.sequence === self.sequence) return
  if (!isAuthentic(turn, from, record)) return
  self.sequence = record.sequence
  const message =
    'the record of this node was ahead of its state directory; it continues from there'
  effects.push({ type: 'warn', code: 'SelfRolledBack', message })
  publish(turn)
}

/**
 * @param answer whether we asked for it: then, while joining, it is no news to the others
 */
export function takeRecord(turn: Turn, from: Peer, bytes: Uint8Array, answer: boolean): void {
  const { state, effects } = turn
  const record = state.reader.decode(bytes)
  if (typeof record === 'string') {
    reject(turn, record, from.id)
    return
  }
  if (record.nodeId === state.self.nodeId) {
    takeOwn(turn, from, bytes, record)
    return
  }
  const peer = state.peers.get(record.nodeId)
  if (peer === undefined) {
    reject(turn, 'subject', from.id)
    return
  }
  if (record.sequence < peer.floor) {
    reject(turn, 'stale', from.id)
    if (peer.record !== null) answerWith(state, from, peer.id)
    return
  }
  if (record.sequence === peer.floor) {
    takeEqual(turn, from, peer, bytes, record)
    return
  }
  if (!isAuthentic(turn, from, record)) return
  const accepted = state.reader.keep(record, bytes)
  hold(turn, peer, accepted, true)
  effects.push({ type: 'storeRecord', nodeId: peer.id, record: accepted.bytes })
  if (!answer || state.self.phase !== 'joining') state.news.add('record', peer.id, accepted.bytes)
  refreshCandidates(turn, peer)
}

/** The first record under a sequence number stays: two are a contradiction of who signed them. */
function takeEqual(
  turn: Turn,
  from: Peer,
  peer: Peer,
  bytes: Uint8Array,
  record: SignedRecord,
): void {
  if (peer.record === null || Buffer.compare(peer.record.bytes, bytes) === 0) return
  if (isAuthentic(turn, from, record)) reject(turn, 'contradiction', from.id)
}

/**
 * A record from the cache: known, but no news, and nobody is there because of it. Where to try the peer is
 * the caller's to refresh.
 */
export function restoreRecord(turn: Turn, bytes: Uint8Array): void {
  const { state } = turn
  const record = state.reader.decode(bytes)
  if (typeof record === 'string') {
    reject(turn, record, state.self.nodeId)
    return
  }
  const peer = state.peers.get(record.nodeId)
  if (peer === undefined || record.sequence <= peer.floor) return
  if (!state.reader.isAuthentic(record)) {
    reject(turn, 'signature', state.self.nodeId)
    return
  }
  hold(turn, peer, state.reader.keep(record, bytes), false)
}
