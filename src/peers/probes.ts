/**
 * Asking members whether they are there (SWIM, section 3.1, with Lifeguard's local health): each in turn,
 * in an order drawn anew for each round; directly, twice, then through up to three others. Also: asking on
 * another's behalf, and the checks that people ask for.
 *
 * Invariant: what is under way is bounded, and each question ends by itself.
 */
import { Kind, encodeAck, encodePing, encodePingRequest } from '../wire/messages.js'
import type { Ack, Ping, PingRequest } from '../wire/messages.js'
import type { CheckOutcome } from './exchange.js'
import { absolve, condemn, suspect } from './membership.js'
import { hasRoute, isAnchor, reject, send, takeToken } from './state.js'
import type { Peer, Probe, State, Turn } from './state.js'
import { verdictAt } from './suspicion.js'
import type { Suspicion } from './suspicion.js'

/** For a direct answer, and again for those through others; times the local health. */
const timeoutMs = 500
/** Without a session a handshake comes first, which is asked for anew rather than awaited (WG 6.1: 5 s). */
const handshakeMs = 500
/** A check that somebody asked for has the time of that repetition. */
const checkMs = 5_500
/**
 * A small network can afford to ask more often: probing costs handshakes, which grow with its size. Of two
 * nodes each asks the other every time, where among more chance may leave one out for some periods.
 */
const quickestMs = 500
const slowestMs = 1_000
const periodPerMemberMs = 40
const mostHelpers = 3
/** Lifeguard has 8: three times as patient is slow enough for a machine that is up, and ends in time. */
const worstHealth = 2
/** Rounds of the worst health overlap by this much. */
const mostRounds = 16
/** Questions for others: as many as the slowest rounds of a neighbourhood ask at once. */
const mostRelays = 64
const mostChecks = 16
/**
 * Keeps the sessions with anchors, and up to some 200 members the NAT's mappings to them: often in a small
 * network, to know soon of their end; rarely in a large one, so that an anchor answers some 8 a second.
 */
const anchorsAtLeastMs = 10_000
const anchorsAtMostMs = 120_000
const anchorsPerMemberMs = 120
/** Among anchors, of which there are few. */
const amongAnchorsMs = 25_000
/** Of so many: one may fail. */
const mostAnchorsKept = 2

function countOf({ probes }: State, type: Probe['purpose']['type']): number {
  let count = 0
  for (const { purpose } of probes.values()) if (purpose.type === type) count += 1
  return count
}

/** Lifeguard's scale: a node that gets few answers gives others more time before it blames them. */
function patience(state: State): number {
  return timeoutMs * (state.health + 1)
}

function adjustHealth(state: State, by: number): void {
  state.health = Math.max(0, Math.min(worstHealth, state.health + by))
}

function periodOf({ live }: State): number {
  if (live.size === 1) return slowestMs
  return Math.max(quickestMs, Math.min(slowestMs, periodPerMemberMs * (live.size + 1)))
}

/** Without a session it waits for one, which is then tried at once. */
function ping(turn: Turn, { token, target }: Probe): void {
  const suspected = target.suspicion?.sequence ?? 0
  send(turn, target, Kind.ping, encodePing({ token, suspected }))
}

function begin(turn: Turn, target: Peer, purpose: Probe['purpose']): void {
  const { state, now } = turn
  const token = takeToken(state)
  const direct = hasRoute(target)
  const wait = purpose.type === 'relay' ? timeoutMs : patience(state)
  const at = direct ? now + wait / 2 : now
  const stage = direct ? 'repeat' : 'indirect'
  const probe: Probe = {
    token,
    target,
    purpose,
    startedAt: now,
    stage,
    at,
    helpers: [],
    refusals: 0,
  }
  state.probes.set(token, probe)
  if (direct) ping(turn, probe)
}

/** Helpers with a session answer without a handshake first. */
function chooseHelpers(state: State, target: Peer): Peer[] {
  const able = [...state.live].filter((peer) => peer !== target && peer.suspicion === null)
  const near = able.filter((peer) => peer.session)
  if (near.length >= mostHelpers) return state.random.sample(near, mostHelpers)
  const others = able.filter((peer) => !peer.session && hasRoute(peer))
  return [...near, ...state.random.sample(others, mostHelpers - near.length)]
}

function askHelpers(turn: Turn, probe: Probe): void {
  probe.helpers = chooseHelpers(turn.state, probe.target)
  const body = encodePingRequest({ token: probe.token, target: probe.target.id })
  for (const helper of probe.helpers) send(turn, helper, Kind.pingRequest, body)
}

/** What comes next when no answer came. */
function advance(turn: Turn, probe: Probe): void {
  const { state } = turn
  const wait = patience(state)
  if (probe.stage === 'end') {
    fail(turn, probe)
    return
  }
  if (probe.stage === 'repeat') {
    ping(turn, probe)
    const { type } = probe.purpose
    const alone = type === 'relay' || type === 'check'
    probe.stage = alone ? 'end' : 'indirect'
    // Whoever asked us still has to hear of it in time, however slow we are.
    probe.at += type === 'relay' ? timeoutMs / 4 : type === 'check' ? checkMs : wait / 2
    return
  }
  if (probe.stage === 'indirect') askHelpers(turn, probe)
  askAgain(turn, probe)
  const isLast = probe.target.session || probe.stage === 'again'
  probe.stage = isLast ? 'end' : 'again'
  probe.at += isLast && !probe.target.session ? handshakeMs : wait
}

/** The addon repeats a handshake after seconds only, but at once when it is told to. */
function askAgain(turn: Turn, probe: Probe): void {
  const { target } = probe
  if (target.session) ping(turn, probe)
  else if (hasRoute(target)) turn.effects.push({ type: 'connect', peer: target.id })
}

function fail(turn: Turn, probe: Probe): void {
  const { state } = turn
  const { target, purpose, helpers, refusals } = probe
  state.probes.delete(probe.token)
  if (purpose.type === 'relay') {
    const body = encodeAck({ token: purpose.token, unreached: true })
    send(turn, purpose.requester, Kind.ack, body)
    return
  }
  if (purpose.type === 'check') {
    settleCheck(turn, probe, {
      reachable: false,
      reason: purpose.via !== null && refusals === 0 ? 'no answer from via' : 'no answer',
    })
    return
  }
  // Helpers that answered, though without success, show that our own link works.
  adjustHealth(state, helpers.length === 0 ? 1 : helpers.length - refusals)
  if (purpose.type === 'verdict') condemn(turn, target)
  else suspect(turn, target, target.floor, state.self.nodeId)
}

function settleCheck({ effects }: Turn, { purpose }: Probe, outcome: CheckOutcome): void {
  if (purpose.type === 'check') effects.push({ type: 'checked', token: purpose.token, outcome })
}

function succeed(turn: Turn, probe: Probe): void {
  const { state, now } = turn
  const { purpose } = probe
  state.probes.delete(probe.token)
  if (purpose.type === 'relay') {
    const body = encodeAck({ token: purpose.token, unreached: false })
    send(turn, purpose.requester, Kind.ack, body)
  } else if (purpose.type === 'check') {
    settleCheck(turn, probe, { reachable: true, roundTripMs: now - probe.startedAt })
  } else {
    adjustHealth(state, -1)
    absolve(turn, probe.target)
  }
}

export function answerPing(turn: Turn, from: Peer, { token }: Ping): void {
  from.askedAt = turn.now
  send(turn, from, Kind.ack, encodeAck({ token, unreached: false }))
}

export function answerPingRequest(turn: Turn, from: Peer, request: PingRequest): void {
  const { state } = turn
  const target = state.peers.get(request.target)
  const refuse = (): void => {
    send(turn, from, Kind.ack, encodeAck({ token: request.token, unreached: true }))
  }
  if (request.target === state.self.nodeId || target === from) reject(turn, 'subject', from.id)
  else if (target === undefined || !hasRoute(target)) refuse()
  else if (countOf(state, 'relay') >= mostRelays) refuse()
  else begin(turn, target, { type: 'relay', requester: from, token: request.token })
}

export function takeAck(turn: Turn, from: Peer, { token, unreached }: Ack): void {
  const probe = turn.state.probes.get(token)
  const isHelper = probe?.helpers.includes(from) ?? false
  if (probe === undefined) return
  if (probe.target !== from && !isHelper) {
    reject(turn, 'token', from.id)
    return
  }
  if (!unreached) succeed(turn, probe)
  else if (isHelper) {
    probe.refusals += 1
    if (probe.purpose.type === 'check') fail(turn, probe)
  }
}

/** Whether a peer answers, for people. */
export function check(turn: Turn, token: number, targetId: string, viaId: string | null): void {
  const { state, now, effects } = turn
  const target = state.peers.get(targetId)
  const via = viaId === null ? null : state.peers.get(viaId)
  const able = viaId === null ? target && hasRoute(target) : via && hasRoute(via) && via !== target
  if (!target || via === undefined || !able || countOf(state, 'check') >= mostChecks) {
    effects.push({ type: 'checked', token, outcome: { reachable: false, reason: 'unknown' } })
    return
  }
  if (via === null) {
    begin(turn, target, { type: 'check', token, via })
    return
  }
  const own = takeToken(state)
  state.probes.set(own, {
    token: own,
    target,
    purpose: { type: 'check', token, via },
    startedAt: now,
    stage: 'end',
    at: now + 2 * timeoutMs + checkMs,
    helpers: [via],
    refusals: 0,
  })
  send(turn, via, Kind.pingRequest, encodePingRequest({ token: own, target: target.id }))
}

/** Who asked us just now is there, and knows that we are. */
function needsAsking({ askedAt, suspicion }: Peer, since: number): boolean {
  return askedAt < since || suspicion !== null
}

/** The next member of the round that can be asked, and needs it. */
function nextTarget(state: State, now: number): Peer | undefined {
  const since = now - periodOf(state)
  for (let rounds = 0; rounds < 2; rounds += 1) {
    for (let peer = state.order.pop(); peer !== undefined; peer = state.order.pop()) {
      if (state.live.has(peer) && hasRoute(peer) && needsAsking(peer, since)) return peer
    }
    state.order.push(...state.live)
    state.random.shuffle(state.order)
  }
  return undefined
}

function askAnchors(turn: Turn): void {
  const { state } = turn
  const anchors = [...state.live].filter((peer) => isAnchor(peer) && hasRoute(peer))
  const near = anchors.filter((peer) => peer.session)
  const far = anchors.filter((peer) => !peer.session)
  const most = state.self.anchor ? mostRounds / 2 : mostAnchorsKept
  for (const anchor of [...near, ...far].slice(0, most)) begin(turn, anchor, { type: 'round' })
}

/** The check that decides begins before the suspicion ends, by the time that it takes itself. */
function judgeAt(state: State, suspicion: Suspicion): number {
  return verdictAt(suspicion) - 2 * patience(state)
}

/** Does what is due. */
export function advanceProbes(turn: Turn): void {
  const { state, now } = turn
  for (const probe of [...state.probes.values()]) if (probe.at <= now) advance(turn, probe)
  for (const peer of state.suspects) {
    const { suspicion } = peer
    if (suspicion === null || suspicion.judged || judgeAt(state, suspicion) > now) continue
    suspicion.judged = true
    begin(turn, peer, { type: 'verdict' })
  }
  if (state.due.probe <= now) {
    state.due.probe = now + state.random.around(periodOf(state))
    const target = countOf(state, 'round') < mostRounds ? nextTarget(state, now) : undefined
    if (target !== undefined) begin(turn, target, { type: 'round' })
    else if (state.live.size === 0) state.due.probe = Infinity
  }
}

/** Asks the anchors that we keep a session with; anchors ask all others, so that one knows if another moves. */
export function keepAnchors(turn: Turn): void {
  const { due, random, live, self } = turn.state
  const wanted = anchorsPerMemberMs * live.size
  const most = self.anchor ? amongAnchorsMs : anchorsAtMostMs
  const wait = Math.max(anchorsAtLeastMs, Math.min(most, wanted))
  due.anchors = turn.now + random.around(wait)
  askAnchors(turn)
}

export function nextProbe(state: State): number {
  let next = state.due.probe
  for (const { at } of state.probes.values()) next = Math.min(next, at)
  for (const { suspicion } of state.suspects) {
    if (suspicion !== null && !suspicion.judged) next = Math.min(next, judgeAt(state, suspicion))
  }
  return next
}
