/**
 * Anti-entropy: two neighbours compare what they hold, and send each other what is newer (docs/PROTOCOL.md,
 * section 7.5). Few records are compared entry by entry; of many, 256 hashes tell which to compare.
 *
 * Invariant: each digest is answered by a bounded number of messages, and records follow at the pace of
 * gossip rounds.
 */
import { believe, believeGone } from '../peers/membership.js'
import { isAnchor, send } from '../peers/state.js'
import type { Peer, State, Turn } from '../peers/state.js'
import { Kind, bucketCount, encodeDigest, mostEntries, prefixOf } from '../wire/messages.js'
import type { Digest, DigestEntry } from '../wire/messages.js'
import { bucketOf } from './buckets.js'
import { answerWith } from './records.js'
import { enterPhase } from './self.js'

/**
 * Gossip tells a bounded number of times: what a node could not hear then, it learns by comparing. Often in a
 * small network, whose digests are small and where one of few who does not know matters; rarely in a large one.
 */
const atLeastMs = 10_000
const atMostMs = 120_000
const perMemberMs = 1_000
/** When the last comparison found something: there may be more, or it may have been lost. */
const soonMs = 5_000
/** After a start others are starting too, so that each comparison may be out of date at once. */
const settleMs = 10_000
const settlingMs = 1_000
/** Without an answer, the next neighbour. */
const unansweredMs = 1_500
/** Messages of entries in answer to one digest. */
const mostLists = 4

const allBuckets: readonly number[] = Array.from({ length: bucketCount }, (_, bucket) => bucket)

type Held = DigestEntry & { readonly nodeId: string }

/** All that we hold, by bucket. */
function holdings({ self, peers }: State, buckets: ReadonlySet<number>): Map<number, Held[]> {
  const found = new Map<number, Held[]>()
  const add = (nodeId: string, sequence: number, gone: boolean): void => {
    const bucket = bucketOf(nodeId)
    if (!buckets.has(bucket)) return
    const held = found.get(bucket) ?? []
    held.push({ nodeId, prefix: prefixOf(nodeId), sequence, gone })
    found.set(bucket, held)
  }
  if (self.record !== null) add(self.nodeId, self.record.sequence, false)
  for (const peer of peers.values()) {
    if (peer.record !== null) add(peer.id, peer.record.sequence, peer.state === 'gone')
  }
  return found
}

/** Whether all entries fit a message. */
function holdsFew({ self, peers }: State): boolean {
  let left = mostEntries - (self.record === null ? 0 : 1)
  for (const { record } of peers.values()) if (record !== null && --left < 0) return false
  return true
}

/** Begins a comparison with a neighbour: an anchor while we know nobody, anybody later. */
export function beginComparison(turn: Turn): void {
  const { state, now } = turn
  const neighbours = [...state.sessions].filter(({ state }) => state !== 'left')
  const anchors = state.self.phase === 'joining' ? neighbours.filter(isAnchor) : []
  const [partner] = state.random.sample(anchors.length > 0 ? anchors : neighbours, 1)
  if (partner === undefined) {
    state.due.exchange = Infinity
    return
  }
  state.exchange = { partner, at: now }
  state.due.exchange = now + unansweredMs
  const digest = holdsFew(state)
    ? { covered: allBuckets, entries: [...holdings(state, new Set(allBuckets)).values()].flat() }
    : { buckets: state.buckets.hashes }
  send(turn, partner, Kind.digest, encodeDigest(digest))
}

function spanOf({ live }: State): number {
  return Math.max(atLeastMs, Math.min(atMostMs, perMemberMs * live.size))
}

/** Our digest was answered: we have joined, and may rest if nothing differed. */
function answered(turn: Turn, differs: boolean): void {
  const { state, now } = turn
  state.exchange = null
  const settles = now < state.startedAt + settleMs
  const wait = settles ? settlingMs : differs ? soonMs : spanOf(state)
  state.due.exchange = now + state.random.around(wait)
  if (state.self.phase === 'joining') enterPhase(turn, 'joined')
}

/** Lists, of the buckets that differ, as many as fit some messages; the rest is for the next time. */
function answerBuckets(turn: Turn, from: Peer, theirs: Uint32Array): boolean {
  const { state } = turn
  const differing = allBuckets.filter((bucket) => theirs[bucket] !== state.buckets.hashes[bucket])
  const unequal = new Set(differing)
  for (const peer of state.peers.values()) {
    if (peer.state === 'unknown' && !unequal.has(bucketOf(peer.id))) believe(turn, peer)
  }
  const held = holdings(state, unequal)
  const lists: { covered: number[]; entries: Held[] }[] = [{ covered: [], entries: [] }]
  for (const bucket of state.random.shuffle(differing)) {
    const entries = (held.get(bucket) ?? []).slice(0, mostEntries)
    if (theirs[bucket] === 0) {
      for (const { nodeId } of entries) answerWith(state, from, nodeId)
      continue
    }
    let list = lists.at(-1)
    if (list === undefined || list.entries.length + entries.length > mostEntries) {
      if (lists.length === mostLists) break
      list = { covered: [], entries: [] }
      lists.push(list)
    }
    list.covered.push(bucket)
    list.entries.push(...entries)
  }
  for (const list of lists) {
    send(turn, from, Kind.digest, encodeDigest({ ...list, answer: true }))
  }
  return differing.length > 0
}

/** What to make of an entry of theirs about a peer that we hold at `floor`: whether we want its record. */
function weigh(turn: Turn, from: Peer, peer: Peer, entry: DigestEntry): boolean {
  if (entry.sequence > peer.floor) return true
  if (entry.sequence < peer.floor) {
    if (peer.record !== null) answerWith(turn.state, from, peer.id)
  } else if (entry.gone) believeGone(turn, peer, from.id)
  else believe(turn, peer)
  return false
}

/** Compares entry by entry; gives the prefixes of what we want. */
function compareEntries(turn: Turn, from: Peer, digest: Digest): string[] {
  const { state } = turn
  const { self } = state
  const covered = new Set(digest.covered)
  const theirs = new Map(digest.entries.map((entry) => [entry.prefix, entry]))
  const wanted: string[] = []
  for (const peer of state.peers.values()) {
    if (!covered.has(bucketOf(peer.id))) continue
    const prefix = prefixOf(peer.id)
    const entry = theirs.get(prefix)
    if (entry !== undefined) {
      if (weigh(turn, from, peer, entry)) wanted.push(prefix)
    } else if (peer.record !== null && peer !== from) answerWith(state, from, peer.id)
  }
  const own = theirs.get(prefixOf(self.nodeId))
  if (self.record !== null && covered.has(bucketOf(self.nodeId))) {
    if ((own?.sequence ?? 0) < self.record.sequence) answerWith(state, from, self.nodeId)
    else if (own !== undefined && own.sequence > self.sequence) wanted.push(own.prefix)
  }
  return wanted.slice(0, mostEntries)
}

function answerWanted(state: State, from: Peer, wanted: readonly string[]): void {
  if (wanted.length === 0) return
  const prefixes = new Set(wanted)
  if (prefixes.has(prefixOf(state.self.nodeId))) answerWith(state, from, state.self.nodeId)
  for (const peer of state.peers.values()) {
    if (peer.record !== null && prefixes.has(prefixOf(peer.id))) answerWith(state, from, peer.id)
  }
}

export function takeDigest(turn: Turn, from: Peer, digest: Digest): void {
  const { state } = turn
  let differs = digest.wanted.length > 0
  answerWanted(state, from, digest.wanted)
  if (digest.buckets.length > 0) {
    differs = answerBuckets(turn, from, digest.buckets) || differs
  }
  if (digest.covered.length > 0) {
    const wanted = compareEntries(turn, from, digest)
    const owed = state.answers.has(from)
    differs = differs || wanted.length > 0 || owed
    // Records say themselves that something differs: should they be lost, nothing else may say that all is well.
    if (wanted.length > 0 || (!digest.answer && !owed)) {
      send(turn, from, Kind.digest, encodeDigest({ wanted, answer: true }))
    }
  }
  if (digest.answer && state.exchange?.partner === from) answered(turn, differs)
}

/** Asks a peer that spoke for its own record, which nobody has passed on to us. */
export function askForOwn(turn: Turn, peer: Peer): void {
  if (peer.record !== null) return
  send(turn, peer, Kind.digest, encodeDigest({ wanted: [prefixOf(peer.id)] }))
}

/** Records came because our digest asked. */
export function takeAnswer(turn: Turn, from: Peer): void {
  if (turn.state.exchange?.partner === from) answered(turn, true)
}
