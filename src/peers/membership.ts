/**
 * Who is there: every change of a member's state, and of a suspicion, is made here (SWIM, sections 3 and
 * 4.2).
 *
 * Invariants: suspicion, whoever tells of it, only starts a clock; Gone is the verdict of our own check
 * alone. A Gone member returns by speaking or by a newer record; one that Left returns by a newer record.
 */
import { Kind, encodeSuspicion, encodeUpdate } from '../wire/messages.js'
import type { MemberState } from './exchange.js'
import { seek } from './recovery.js'
import { hasRoute, send } from './state.js'
import type { HeldRecord, Peer, State, Turn } from './state.js'
import { confirm, suspicionOf } from './suspicion.js'

/** A member that is gone or has left is forgotten after this time, its sequence number excepted. */
const reapAfterMs = 3_600_000

/** So many of those who hear of a suspicion ask the suspected next: they confirm it soon, or end it. */
const secondOpinions = 8

function isLive(state: MemberState): boolean {
  return state === 'joining' || state === 'joined' || state === 'leaving'
}

function tell({ effects }: Turn, peer: Peer): void {
  effects.push({
    type: 'member',
    peer: peer.id,
    state: peer.state,
    suspected: peer.suspicion !== null,
  })
}

/** Keeps the summary of records in step with what it summarises. */
function toggle({ buckets }: State, peer: Peer): void {
  if (peer.record !== null) buckets.toggle(peer.id, peer.record.sequence, peer.state === 'gone')
}

function clearSuspicion({ state }: Turn, peer: Peer): void {
  for (const accuser of [state.self.nodeId, ...(peer.suspicion?.accusers ?? [])]) {
    state.news.drop('suspicion', `${peer.id} ${accuser}`)
  }
  peer.suspicion = null
  state.suspects.delete(peer)
}

function enter(turn: Turn, peer: Peer, next: MemberState): void {
  const { state, now } = turn
  if (peer.state === next) return
  toggle(state, peer)
  peer.state = next
  toggle(state, peer)
  peer.since = now
  const wasLive = state.live.has(peer)
  if (isLive(next)) state.live.add(peer)
  else state.live.delete(peer)
  if (!isLive(next)) clearSuspicion(turn, peer)
  // SWIM, section 4.3: who joins is put anywhere in the round that is under way.
  if (!wasLive && isLive(next)) {
    state.order.splice(state.random.below(state.order.length + 1), 0, peer)
    state.due.probe = Math.min(state.due.probe, now + state.random.fraction() * 1_000)
  }
  state.due.assess = Math.min(state.due.assess, now)
  tell(turn, peer)
}

/** A newer record was accepted: the peer's own word about itself. */
export function hold(turn: Turn, peer: Peer, record: HeldRecord, isNews: boolean): void {
  const { state } = turn
  toggle(state, peer)
  peer.record = record
  peer.floor = record.sequence
  toggle(state, peer)
  const suspected = peer.suspicion !== null
  clearSuspicion(turn, peer)
  if (isNews && peer.state !== record.phase) enter(turn, peer, record.phase)
  else if (suspected) tell(turn, peer)
}

/** Others hold the peer alive, and we have its record but never heard of it otherwise. */
export function believe(turn: Turn, peer: Peer): void {
  if (peer.state === 'unknown' && peer.record !== null) enter(turn, peer, peer.record.phase)
}

/** Others hold the peer gone; where we know no better, so do we. */
export function believeGone(turn: Turn, peer: Peer, accuser: string): void {
  if (peer.state === 'unknown') enter(turn, peer, 'gone')
  else if (peer.record !== null) suspect(turn, peer, peer.record.sequence, accuser)
}

/** The peer itself spoke: whoever suspected it should hear its answer, so it is told. */
export function heard(turn: Turn, peer: Peer): void {
  const wasGone = peer.state === 'gone'
  if (wasGone || peer.state === 'unknown') {
    const phase = peer.record?.phase ?? 'joined'
    if (phase === 'left') return
    clearSuspicion(turn, peer)
    enter(turn, peer, phase)
  } else if (peer.suspicion === null) return
  else {
    clearSuspicion(turn, peer)
    tell(turn, peer)
  }
  if (peer.record !== null) warn(turn, peer, peer.record.sequence)
}

/** Lifeguard's buddy system: who is suspected hears of it first. */
function warn(turn: Turn, peer: Peer, sequence: number): void {
  if (!hasRoute(peer)) return
  const accuser = turn.state.self.nodeId
  const part = encodeSuspicion({ subject: peer.id, sequence, accuser })
  send(turn, peer, Kind.update, encodeUpdate({ suspicions: [part] }))
}

/** Somebody, perhaps this node, got no answer from the peer. */
export function suspect(turn: Turn, peer: Peer, sequence: number, accuser: string): void {
  const { state, now } = turn
  if (!isLive(peer.state) || sequence !== peer.floor) return
  if (peer.suspicion === null) {
    const members = state.live.size + 1
    peer.suspicion = suspicionOf(sequence, accuser, members, now)
    state.suspects.add(peer)
    tell(turn, peer)
    if (accuser === state.self.nodeId) warn(turn, peer, sequence)
    else if (state.random.fraction() * members < secondOpinions) {
      state.order.push(peer)
      state.due.probe = now
    }
  } else if (!confirm(peer.suspicion, accuser)) return
  accuse(state, peer, sequence, accuser)
}

function accuse({ news }: State, peer: Peer, sequence: number, accuser: string): void {
  const part = encodeSuspicion({ subject: peer.id, sequence, accuser })
  news.add('suspicion', `${peer.id} ${accuser}`, part)
}

/** Another member got an answer from the peer just now. */
export function absolve(turn: Turn, peer: Peer): void {
  if (peer.suspicion === null) return
  clearSuspicion(turn, peer)
  tell(turn, peer)
}

/**
 * Our own check got no answer either. Who said that it leaves has done so: only its last word was lost. Of
 * one that is gone others hear it from us once more: who has heard of few accusers waits longest for more.
 */
export function condemn(turn: Turn, peer: Peer): void {
  if (peer.suspicion === null) return
  enter(turn, peer, peer.state === 'leaving' ? 'left' : 'gone')
  if (peer.state === 'gone') accuse(turn.state, peer, peer.floor, turn.state.self.nodeId)
  seek(turn, peer, turn.state.random.around(1_000))
}

/** Forgets what has been gone long, but for the number that keeps its old records from coming back. */
export function reap(turn: Turn): void {
  const { state, now } = turn
  for (const peer of state.peers.values()) {
    const isOver = peer.state === 'gone' || peer.state === 'left'
    if (!isOver || peer.session || peer.since + reapAfterMs > now) continue
    enter(turn, peer, 'unknown')
    toggle(state, peer)
    peer.record = null
    peer.hints = []
  }
}

/** The configuration no longer has the peer. */
export function forget(turn: Turn, peer: Peer): void {
  const { state } = turn
  enter(turn, peer, 'unknown')
  toggle(state, peer)
  state.peers.delete(peer.id)
  state.sessions.delete(peer)
  state.answers.delete(peer)
  state.retries.delete(peer)
  state.news.drop('record', peer.id)
  state.self.seen.delete(peer.id)
  if (state.exchange?.partner === peer) state.exchange = null
  for (const [token, { target, purpose }] of state.probes) {
    const asks = purpose.type === 'relay' ? purpose.requester === peer : false
    if (target === peer || asks) state.probes.delete(token)
  }
}
