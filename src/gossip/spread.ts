/**
 * Gossip rounds: news goes to a few neighbours chosen anew each time, a bounded number of times in all, and
 * what was asked for goes to who asked.
 *
 * Invariant: a neighbour gets a bounded number of datagrams in a round, whatever there is to tell.
 */
import { hasRoute, send } from '../peers/state.js'
import type { Peer, State, Turn } from '../peers/state.js'
import { Kind, costOf, encodeUpdate, longestBody } from '../wire/messages.js'

export const roundMs = 250
const fanOut = 3
/** The flag that says why it was sent. */
const overhead = 2
/** News to one neighbour in one round. */
const mostDatagrams = 2
/** Answers to one neighbour in one round: 32 a second, half of what a neighbour lets in. */
const mostAnswers = 8
/** ln(N) + c tellings by each leave somebody out with a probability of e^-c: here a thousandth. */
const surplus = 7

/** How often each news is told (SWIM, section 4.1): whom it misses waits minutes for a comparison. */
function tellings(members: number): number {
  return Math.ceil(Math.log(members)) + surplus
}

/** Neighbours with a session, as far as there are enough: others would cost a handshake each. */
function chooseNeighbours({ sessions, live, random }: State): Peer[] {
  // Who is suspected was told, and may not be there.
  const near = [...sessions].filter(
    ({ state, suspicion }) => state !== 'left' && suspicion === null,
  )
  if (near.length >= fanOut) return random.sample(near, fanOut)
  const others = [...live].filter(
    (peer) => !peer.session && peer.suspicion === null && hasRoute(peer),
  )
  return [...near, ...random.sample(others, fanOut - near.length)]
}

function tellNews(turn: Turn): void {
  const { state } = turn
  const limit = tellings(state.peers.size + 1)
  for (const neighbour of chooseNeighbours(state)) {
    for (const batch of state.news.take(longestBody - overhead, mostDatagrams, limit)) {
      send(turn, neighbour, Kind.update, encodeUpdate(batch))
    }
  }
}

/** One datagram of records from the set, which they leave. */
function takeBatch({ self, peers }: State, nodeIds: Set<string>): Uint8Array[] {
  const batch: Uint8Array[] = []
  let left = longestBody - overhead
  for (const nodeId of nodeIds) {
    const record = nodeId === self.nodeId ? self.record : peers.get(nodeId)?.record
    if (record) {
      left -= costOf(record.bytes)
      if (left < 0) break
      batch.push(record.bytes)
    }
    nodeIds.delete(nodeId)
  }
  return batch
}

function sendAnswers(turn: Turn): void {
  const { state } = turn
  for (const [neighbour, nodeIds] of state.answers) {
    for (let sent = 0; sent < mostAnswers && nodeIds.size > 0; sent += 1) {
      const records = takeBatch(state, nodeIds)
      if (records.length === 0) continue
      send(turn, neighbour, Kind.update, encodeUpdate({ records, answer: true }))
    }
    if (nodeIds.size === 0) state.answers.delete(neighbour)
  }
}

export function gossip(turn: Turn): void {
  turn.state.due.gossip = Infinity
  sendAnswers(turn)
  tellNews(turn)
}

/** Sets the next round when there is something to tell and somebody to hear it. */
export function armGossip({ state, now }: Turn): void {
  if (state.due.gossip !== Infinity || (state.news.isEmpty && state.answers.size === 0)) return
  if (state.sessions.size === 0 && state.live.size === 0) return
  state.due.gossip = now + roundMs - ((now - state.beat) % roundMs)
}

/** The last word of a node that leaves. */
export function farewell(turn: Turn): void {
  const { self, sessions, random } = turn.state
  if (self.record === null) return
  const body = encodeUpdate({ records: [self.record.bytes] })
  for (const neighbour of random.sample([...sessions], mostFarewells)) {
    send(turn, neighbour, Kind.update, body)
  }
}

/** Enough that it spreads though some are lost. */
const mostFarewells = 16
