/**
 * What this node says of itself: one record at a time is signed, and whatever changes meanwhile goes into
 * the next.
 *
 * Invariant: a sequence number is below one that is on disk before anything signed under it is sent, so a
 * restart never takes it again.
 */
import { send } from '../peers/state.js'
import type { HeldRecord, State, Turn } from '../peers/state.js'
import { takeToken } from '../peers/state.js'
import { canonicalEndpoint } from '../wire/address.js'
import { Kind, encodeUpdate } from '../wire/messages.js'
import type { Phase } from '../wire/record.js'
import { encodeRecord, encodeSignedRecord, mostEndpoints, recordDomain } from '../wire/record.js'

/** One write to disk for so many records. */
const reservation = 16
/** A flood of suspicions makes us sign no more often. */
const refuteEveryMs = 1_000
/** What a peer saw of us long ago may be somebody else's by now. */
const seenLifetimeMs = 600_000
/** Of the addresses that others see, so that those of our own interfaces keep their room. */
const mostSeen = 2

/** Addresses by which others see us: what an anchor says, or two peers. */
function seenEndpoints({ self, peers }: State, now: number): string[] {
  const weight = new Map<string, number>()
  for (const [by, { endpoint, at }] of self.seen) {
    if (at + seenLifetimeMs <= now) continue
    const believed = peers.get(by)?.configured.anchor === true ? 2 : 1
    weight.set(endpoint, (weight.get(endpoint) ?? 0) + believed)
  }
  const trusted = [...weight].filter(([, sum]) => sum >= 2)
  return trusted
    .sort(([, one], [, other]) => other - one)
    .slice(0, mostSeen)
    .map(([endpoint]) => endpoint)
}

/** What our record says, or will: seen addresses first, as only they reach through a NAT. */
function ownEndpoints(state: State, now: number): string[] {
  const own = state.self.endpoints.map(canonicalEndpoint).filter((text) => text !== undefined)
  const seen = seenEndpoints(state, now).filter((endpoint) => !own.includes(endpoint))
  return [...seen, ...own].slice(0, mostEndpoints)
}

/** Makes a new record, now or as soon as the one under way is signed. */
export function publish({ state, now, effects }: Turn): void {
  const { self } = state
  if (!self.told) return
  if (self.draft !== null) {
    self.stale = true
    return
  }
  self.stale = false
  self.refutes = false
  self.sequence += 1
  if (self.sequence > self.reserved) {
    self.reserved = self.sequence + reservation - 1
    effects.push({ type: 'storeSequence', sequence: self.reserved })
  }
  const { nodeId, sequence, phase, anchor, metadata } = self
  const endpoints = ownEndpoints(state, now)
  const body = encodeRecord({ nodeId, sequence, phase, anchor, endpoints, metadata })
  const token = takeToken(state)
  self.draft = { token, body }
  effects.push({ type: 'sign', token, domain: recordDomain, body })
}

/** Makes a new record if the last one no longer says what is so. */
export function publishChanges(turn: Turn): void {
  const { self } = turn.state
  const { record } = self
  if (self.draft !== null || record === null) {
    publish(turn)
    return
  }
  const said = [record.endpoints, record.anchor, record.metadata]
  const wanted = [ownEndpoints(turn.state, turn.now), self.anchor, self.metadata]
  if (JSON.stringify(said) !== JSON.stringify(wanted)) publish(turn)
}

/** The record that was signed, when the token is that of the draft. */
export function completed(turn: Turn, token: number, signature: Uint8Array): HeldRecord | null {
  const { state } = turn
  const { self } = state
  if (self.draft?.token !== token) return null
  const bytes = encodeSignedRecord(self.draft.body, signature)
  self.draft = null
  const record = state.reader.decode(bytes)
  if (typeof record === 'string') return null
  const { sequence } = record
  if (self.record !== null) state.buckets.toggle(self.nodeId, self.record.sequence, false)
  self.record = state.reader.keep(record, bytes)
  state.buckets.toggle(self.nodeId, sequence, false)
  state.news.add('record', self.nodeId, self.record.bytes)
  if (self.stale) publish(turn)
  return self.record
}

/** Somebody suspects us at this sequence number: a newer record is the answer, a known one if there is. */
export function refute(turn: Turn, suspectedAt: number, toldBy: string): void {
  const { state, now } = turn
  const { self } = state
  if (self.record === null || suspectedAt > self.sequence) return
  if (suspectedAt < self.record.sequence) {
    const teller = state.peers.get(toldBy)
    if (teller) send(turn, teller, Kind.update, encodeUpdate({ records: [self.record.bytes] }))
    return
  }
  self.refutes = true
  if (self.refuteFrom <= now) refuteNow(turn)
}

export function refuteNow(turn: Turn): void {
  const { self } = turn.state
  self.refuteFrom = turn.now + refuteEveryMs
  publish(turn)
}

export function enterPhase(turn: Turn, phase: Phase): void {
  turn.state.self.phase = phase
  // Left is true, and told, only when others can know of it.
  if (phase !== 'left') turn.effects.push({ type: 'self', phase })
  publish(turn)
}
