/**
 * The mesh machine: gossip, membership, anchors and recovery of one node. It does no input or output,
 * keeps no timer and reads no clock: `step` takes what happened and when, and gives what to do.
 *
 * Invariants: the state belongs to the caller and to nothing else, and `step` changes it in place
 * (decision 0030); time never goes back; every table is bounded by the number of configured peers or by a
 * constant.
 */
import { assessAnchors } from '../anchors/anchors.js'
import { report, takeObservation, takeSeen } from '../anchors/reports.js'
import { newAllowance, spend } from '../gossip/allowance.js'
import { askForOwn, beginComparison, takeAnswer, takeDigest } from '../gossip/compare.js'
import { keepRecord, restoreRecord, takeRecord } from '../gossip/records.js'
import { completed, enterPhase, publishChanges, refute, refuteNow } from '../gossip/self.js'
import { armGossip, farewell, gossip, roundMs } from '../gossip/spread.js'
import { refreshAll, refreshCandidates } from '../peers/candidates.js'
import type { Effect, Input } from '../peers/exchange.js'
import { forget, heard, reap, suspect } from '../peers/membership.js'
import {
  advanceProbes,
  answerPing,
  answerPingRequest,
  check,
  keepAnchors,
  nextProbe,
  takeAck,
} from '../peers/probes.js'
import { found, recover, seek, seekAll, seekAnchors, seekAnew } from '../peers/recovery.js'
import { isAnchor, newPeer, newState, reject, send } from '../peers/state.js'
import type { Peer, RecordReader, State, Turn } from '../peers/state.js'
import { Kind, decodeMessage, encodeUpdate } from '../wire/messages.js'
import type { Update } from '../wire/messages.js'
import { decodeRecord, recordDomain } from '../wire/record.js'

export type { Effect, Input }

export type Verify = (
  nodeId: string,
  domain: string,
  body: Uint8Array,
  signature: Uint8Array,
) => boolean

export type MeshOptions = {
  readonly nodeId: string
  /** Of the machine's own generator; any 32-bit number, another one at each start. */
  readonly seed: number
  readonly reader: RecordReader
}

/** Opaque; `meshView` shows it. */
export type Mesh = State

/** Time in which an anchor or a neighbour should have answered; after it, there is nobody to join. */
const joinPatienceMs = 3_000
/** For what expires by the minute or slower. */
const sweepMs = 30_000
/** A digest makes us look at every record. */
const digestCost = 8
/** For the word that we are leaving to spread before we have left. */
const leavingMs = 300

/** Reads records with this Ed25519 verification (docs/PROTOCOL.md, section 1.4). */
export function recordReader(verify: Verify): RecordReader {
  return {
    decode: decodeRecord,
    isAuthentic: ({ nodeId, body, signature }) => verify(nodeId, recordDomain, body, signature),
    keep: keepRecord,
  }
}

export function createMesh({ nodeId, seed, reader }: MeshOptions): Mesh {
  return newState(nodeId, seed, reader)
}

/** Changes `mesh` in place; the effects are to be carried out in order. */
export function step(mesh: Mesh, input: Input, now: number): Effect[] {
  const turn: Turn = { state: mesh, now, effects: [] }
  if (hasEnded(mesh)) return turn.effects
  take(turn, input)
  doWhatIsDue(turn)
  armGossip(turn)
  return turn.effects
}

/** Our last word is spoken. */
function hasEnded({ self }: Mesh): boolean {
  return self.phase === 'left' && self.draft === null
}

/** When to step with `tick` if nothing else happens before; Infinity for never. */
export function nextWakeup(mesh: Mesh): number {
  const { due, self } = mesh
  if (hasEnded(mesh)) return Infinity
  return Math.min(
    due.gossip,
    due.anchors,
    due.exchange,
    due.recovery,
    due.joined,
    due.assess,
    due.sweep,
    nextProbe(mesh),
    self.refutes ? self.refuteFrom : Infinity,
    self.phase === 'leaving' ? self.leftAt : Infinity,
  )
}

function take(turn: Turn, input: Input): void {
  const { state, now } = turn
  switch (input.type) {
    case 'start':
      start(turn, input)
      return
    case 'peers':
      configure(turn, input)
      return
    case 'message':
      takeMessage(turn, input)
      return
    case 'session':
      takeSession(turn, input)
      return
    case 'self': {
      const { endpoints, anchor, metadata } = input
      Object.assign(state.self, { endpoints, anchor, metadata, told: true })
      publishChanges(turn)
      refreshAll(turn)
      state.due.assess = Math.min(state.due.assess, now)
      return
    }
    case 'signed':
      takeSignature(turn, input)
      return
    case 'observed':
      if (!state.peers.has(input.by)) return
      takeSeen(turn, input.by, input.endpoint)
      publishChanges(turn)
      return
    case 'network':
      state.self.seen.clear()
      seekAnew(turn)
      return
    case 'check':
      check(turn, input.token, input.target, input.via)
      return
    case 'leave':
      leave(turn)
      return
    case 'tick':
  }
}

function start(turn: Turn, { sequence, records, cached }: Input & { type: 'start' }): void {
  const { state, now } = turn
  const { due, random, self } = state
  Object.assign(self, { sequence, reserved: sequence })
  state.startedAt = now
  state.beat = now - random.fraction() * roundMs
  due.sweep = now + sweepMs
  due.assess = now
  due.joined = now + joinPatienceMs
  due.anchors = now + random.around(joinPatienceMs)
  state.restored = { records, cached }
  restore(turn)
}

/** What cache and configuration know of peers, whichever of start and configuration comes first. */
function restore(turn: Turn): void {
  const { state } = turn
  const { records, cached } = state.restored
  if (state.peers.size === 0) return
  for (const { nodeId, endpoints } of cached) {
    const peer = state.peers.get(nodeId)
    if (peer !== undefined) peer.cached = endpoints
  }
  for (const record of records) restoreRecord(turn, record)
  state.restored = { records: [], cached: [] }
  refreshAll(turn)
}

function configure(turn: Turn, { peers }: Input & { type: 'peers' }): void {
  const { state, now } = turn
  const wanted = new Map(peers.map((peer) => [peer.nodeId, peer]))
  wanted.delete(state.self.nodeId)
  for (const peer of state.peers.values()) if (!wanted.has(peer.id)) forget(turn, peer)
  for (const configured of wanted.values()) {
    const peer = state.peers.get(configured.nodeId)
    if (peer === undefined) state.peers.set(configured.nodeId, newPeer(configured, now))
    else peer.configured = configured
  }
  restore(turn)
  state.due.assess = Math.min(state.due.assess, now)
  if (wanted.size === 0 && state.self.phase === 'joining') state.due.joined = now
  seekAnchors(turn)
  seekAll(turn)
}

function takeMessage(turn: Turn, { from, kind, body }: Input & { type: 'message' }): void {
  const { state, now } = turn
  const peer = state.peers.get(from)
  if (peer === undefined) {
    reject(turn, 'sender', from)
    return
  }
  peer.allowance ??= newAllowance(now)
  if (!spend(peer.allowance, kind === Kind.digest ? digestCost : 1, now)) {
    reject(turn, 'rate', from)
    return
  }
  const message = decodeMessage(kind, body)
  if (typeof message === 'string') {
    reject(turn, message, from)
    return
  }
  heard(turn, peer)
  switch (message.type) {
    case 'update':
      takeUpdate(turn, peer, message)
      return
    case 'digest':
      takeDigest(turn, peer, message)
      return
    case 'ping':
      answerPing(turn, peer, message)
      askForOwn(turn, peer)
      if (message.suspected > 0) refute(turn, message.suspected, from)
      return
    case 'pingRequest':
      answerPingRequest(turn, peer, message)
      return
    case 'ack':
      takeAck(turn, peer, message)
  }
}

function takeUpdate(turn: Turn, from: Peer, update: Update): void {
  const { state } = turn
  for (const record of update.records) takeRecord(turn, from, record, update.answer)
  for (const { subject, sequence, accuser } of update.suspicions) {
    const peer = state.peers.get(subject)
    if (subject === state.self.nodeId) refute(turn, sequence, from.id)
    else if (peer === undefined || peer === from) reject(turn, 'subject', from.id)
    // Our own word from long ago, or an accuser that nobody configured, confirms nothing.
    else if (accuser !== state.self.nodeId && state.peers.has(accuser)) {
      suspectOrCorrect(turn, from, peer, sequence, accuser)
    }
  }
  for (const observation of update.observations) takeObservation(turn, from, observation)
  if (update.answer) takeAnswer(turn, from)
}

/** A suspicion of an older record was answered already; whoever still tells it gets that answer. */
function suspectOrCorrect(
  turn: Turn,
  from: Peer,
  peer: Peer,
  sequence: number,
  accuser: string,
): void {
  if (sequence >= peer.floor) suspect(turn, peer, sequence, accuser)
  else if (peer.record !== null) {
    send(turn, from, Kind.update, encodeUpdate({ records: [peer.record.bytes] }))
  }
}

function takeSession(turn: Turn, { peer: id, state: next, endpoint }: Input & { type: 'session' }) {
  const { state, now } = turn
  const peer = state.peers.get(id)
  if (peer === undefined) return
  const wasUp = peer.session
  peer.session = next === 'up'
  if (!peer.session) {
    state.sessions.delete(peer)
    state.answers.delete(peer)
    if (next === 'lost') {
      suspect(turn, peer, peer.floor, state.self.nodeId)
      seek(turn, peer, 0)
    } else if (isAnchor(peer)) seek(turn, peer, 0)
    seekAll(turn)
    return
  }
  peer.endpoint = endpoint
  state.sessions.add(peer)
  found(turn, peer)
  if (!wasUp && !state.live.has(peer) && state.self.record !== null) {
    const records = [state.self.record.bytes]
    send(turn, peer, Kind.update, encodeUpdate({ records }))
  }
  heard(turn, peer)
  askForOwn(turn, peer)
  report(turn, peer)
  const alone = state.sessions.size === 1 && !wasUp
  if (alone || (state.self.phase === 'joining' && state.exchange === null)) {
    state.due.exchange = now
  }
}

function takeSignature(turn: Turn, { token, signature }: Input & { type: 'signed' }): void {
  const record = completed(turn, token, signature)
  if (record?.phase === 'left') {
    farewell(turn)
    turn.effects.push({ type: 'self', phase: 'left' })
  }
}

function leave(turn: Turn): void {
  const { self, sessions } = turn.state
  if (self.phase === 'leaving' || self.phase === 'left') return
  self.leftAt = turn.now + (sessions.size > 0 && self.told ? leavingMs : 0)
  enterPhase(turn, 'leaving')
}

function doWhatIsDue(turn: Turn): void {
  const { state, now } = turn
  const { due, self } = state
  if (self.refutes && self.refuteFrom <= now) refuteNow(turn)
  advanceProbes(turn)
  if (due.anchors <= now) keepAnchors(turn)
  if (due.joined <= now) {
    due.joined = Infinity
    if (self.phase === 'joining') enterPhase(turn, 'joined')
  }
  if (due.exchange <= now) beginComparison(turn)
  recover(turn)
  if (due.assess <= now) assessAnchors(turn)
  if (due.sweep <= now) sweep(turn)
  if (due.gossip <= now) gossip(turn)
  if (self.phase === 'leaving' && self.leftAt <= now) finish(turn)
}

function finish(turn: Turn): void {
  const { self } = turn.state
  enterPhase(turn, 'left')
  // Nobody was ever told of us: there is nothing to sign.
  if (!self.told) turn.effects.push({ type: 'self', phase: 'left' })
}

function sweep(turn: Turn): void {
  turn.state.due.sweep = turn.now + sweepMs
  reap(turn)
  // All else tells of itself; what was observed ends by time alone.
  for (const peer of turn.state.peers.values())
    if (peer.hints.length > 0) refreshCandidates(turn, peer)
  if (turn.state.self.seen.size > 0) publishChanges(turn)
}
