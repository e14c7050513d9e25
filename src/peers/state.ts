/**
 * The state of the mesh machine, and the turn that each part of it takes. One `Peer` for each configured
 * peer; every other table refers to these, so removing a peer removes it everywhere.
 */
import type { Allowance } from '../gossip/allowance.js'
import { Buckets } from '../gossip/buckets.js'
import { News } from '../gossip/news.js'
import type { NodeRecord, Phase, SignedRecord, RecordProblem } from '../wire/record.js'
import type {
  CachedPeer,
  Candidate,
  ConfiguredPeer,
  Effect,
  MemberState,
  Rejection,
  Warning,
} from './exchange.js'
import { Random } from './random.js'
import type { Suspicion } from './suspicion.js'

/** What reads records: decoding, whether the signature is the node's, and what to hold of one. */
export type RecordReader = {
  decode(bytes: Uint8Array): SignedRecord | RecordProblem
  isAuthentic(record: SignedRecord): boolean
  /** `bytes` are those that `record` was read from; they belong to a datagram. */
  keep(record: SignedRecord, bytes: Uint8Array): HeldRecord
}

/** A record that was verified, and the bytes to pass on. */
export type HeldRecord = Omit<NodeRecord, 'nodeId'> & {
  readonly bytes: Uint8Array
  /** Those of its endpoints that only the same network reaches. */
  readonly local: readonly string[]
}

/** What somebody says of a peer's address; advice. */
type Hint = { readonly endpoint: string; readonly by: string; readonly at: number }

export type Peer = {
  readonly id: string
  configured: ConfiguredPeer
  /** Where it was last reached, by the cache; best first. */
  cached: readonly string[]
  record: HeldRecord | null
  /** The greatest sequence number of any record accepted: it outlives the record. */
  floor: number
  state: MemberState
  /** When the state began. */
  since: number
  suspicion: Suspicion | null
  /** Whether there is a session, and where. */
  session: boolean
  endpoint: string | null
  /** When it last asked whether we are there. */
  askedAt: number
  hints: readonly Hint[]
  /** What we told others of its address last. */
  reported: string | null
  allowance: Allowance | null
  /** The last `endpoints` effect. */
  candidates: readonly Candidate[]
}

/** A question under way. */
export type Probe = {
  readonly token: number
  readonly target: Peer
  readonly purpose:
    | { readonly type: 'round' | 'verdict' }
    | { readonly type: 'relay'; readonly requester: Peer; readonly token: number }
    | { readonly type: 'check'; readonly token: number; readonly via: Peer | null }
  readonly startedAt: number
  /** What comes next, and when. */
  stage: 'repeat' | 'indirect' | 'again' | 'end'
  at: number
  /** Asked on our behalf, and how many of them said that they got no answer either. */
  helpers: Peer[]
  refusals: number
}

type Self = {
  readonly nodeId: string
  /** Whether the caller has said what the record shall say. */
  told: boolean
  phase: Phase
  endpoints: readonly string[]
  anchor: boolean
  metadata: NodeRecord['metadata']
  /** Of the last record begun. */
  sequence: number
  /** Up to here sequence numbers are on disk. */
  reserved: number
  /** What peers say of our address, by peer. */
  seen: Map<string, { readonly endpoint: string; readonly at: number }>
  record: HeldRecord | null
  /** Waits for its signature. */
  draft: { readonly token: number; readonly body: Uint8Array } | null
  /** Something changed since the draft. */
  stale: boolean
  /** When the next refutation may go out, and whether one is due. */
  refuteFrom: number
  refutes: boolean
  /** When leaving is over. */
  leftAt: number
}

/** A peer to be reached: `alone` when only because there is nobody else. */
type Retry = { at: number; delay: number; alone: boolean }

/** Our own comparison with a neighbour. */
type Exchange = { readonly partner: Peer; readonly at: number }

export type State = {
  readonly self: Self
  readonly reader: RecordReader
  readonly random: Random
  readonly peers: Map<string, Peer>
  /** Peers with a session. */
  readonly sessions: Set<Peer>
  /** Peers that are joining, joined or leaving. */
  readonly live: Set<Peer>
  readonly suspects: Set<Peer>
  readonly news: News
  readonly buckets: Buckets
  /** Records to send because a digest, or an old record, asked: by neighbour. */
  readonly answers: Map<Peer, Set<string>>
  readonly probes: Map<number, Probe>
  /** Members still to be asked in this round, last first. */
  readonly order: Peer[]
  /** Lifeguard's local health: 0 is best. */
  health: number
  readonly retries: Map<Peer, Retry>
  exchange: Exchange | null
  /** From the cache, until the configuration is known. */
  restored: {
    readonly records: readonly Uint8Array[]
    readonly cached: readonly CachedPeer[]
  }
  warnings: readonly Warning[]
  readonly rejections: Map<Rejection, number>
  /** Gossip rounds begin at this time and every interval after it, another one for each node. */
  beat: number
  startedAt: number
  nextToken: number
  /** Deadlines; Infinity for none. */
  readonly due: {
    gossip: number
    probe: number
    anchors: number
    exchange: number
    recovery: number
    joined: number
    assess: number
    sweep: number
  }
}

/** One step: the state, the time, and what is to be done. */
export type Turn = { readonly state: State; readonly now: number; readonly effects: Effect[] }

function newSelf(nodeId: string): Self {
  return {
    nodeId,
    told: false,
    phase: 'joining',
    endpoints: [],
    anchor: false,
    metadata: {},
    sequence: 0,
    reserved: 0,
    seen: new Map(),
    record: null,
    draft: null,
    stale: false,
    refuteFrom: 0,
    refutes: false,
    leftAt: Infinity,
  }
}

function nothingDue(): State['due'] {
  const never = Infinity
  return {
    gossip: never,
    probe: never,
    anchors: never,
    exchange: never,
    recovery: never,
    joined: never,
    assess: never,
    sweep: never,
  }
}

export function newState(nodeId: string, seed: number, reader: RecordReader): State {
  return {
    self: newSelf(nodeId),
    reader,
    random: new Random(seed),
    peers: new Map(),
    sessions: new Set(),
    live: new Set(),
    suspects: new Set(),
    news: new News(),
    buckets: new Buckets(),
    answers: new Map(),
    probes: new Map(),
    order: [],
    health: 0,
    retries: new Map(),
    exchange: null,
    restored: { records: [], cached: [] },
    warnings: [],
    rejections: new Map(),
    beat: 0,
    startedAt: Infinity,
    nextToken: 1,
    due: nothingDue(),
  }
}

export function newPeer(configured: ConfiguredPeer, now: number): Peer {
  return {
    id: configured.nodeId,
    configured,
    cached: none,
    record: null,
    floor: 0,
    state: 'unknown',
    since: now,
    suspicion: null,
    session: false,
    endpoint: null,
    askedAt: -Infinity,
    hints: none,
    reported: null,
    allowance: null,
    candidates: none,
  }
}

/** Shared by all that have nothing. */
const none: readonly never[] = []

/** 1 to 2^32 - 1, then anew: tokens only tell questions apart that are under way at once. */
export function takeToken(state: State): number {
  const token = state.nextToken
  state.nextToken = token >= 0xffff_ffff ? 1 : token + 1
  return token
}

export function send({ effects }: Turn, to: Peer, kind: number, body: Uint8Array): void {
  effects.push({ type: 'send', to: to.id, kind, body })
}

/** Counts what was not used, by reason. */
export function reject({ state, effects }: Turn, reason: Rejection, from: string): void {
  state.rejections.set(reason, (state.rejections.get(reason) ?? 0) + 1)
  effects.push({ type: 'rejected', reason, from })
}

/** Whether the configuration, or the peer itself, says that it is an anchor. */
export function isAnchor(peer: Peer): boolean {
  return peer.configured.anchor || (peer.record?.anchor ?? false)
}

/** Whether it makes sense to send to the peer without another's help. */
export function hasRoute(peer: Peer): boolean {
  return peer.session || peer.candidates.length > 0
}
