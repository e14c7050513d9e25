/**
 * Reaching peers again: anchors first, then after 1 s doubling to 60 s, each span a quarter more or less,
 * and at once when this machine's network changes.
 *
 * Invariants: whom we have a session with, and who has left, is not sought; a node without any session
 * seeks everybody it has an endpoint of.
 */
import { hasRoute, isAnchor } from './state.js'
import type { Peer, State, Turn } from './state.js'

const firstDelayMs = 1_000
const longestDelayMs = 60_000
/** Handshakes are begun in groups of this size, so many milliseconds apart: 32 a second. */
const groupSize = 8
const groupEveryMs = 250

/** Begins to seek the peer after `wait`; one that is sought already is not sought earlier. */
export function seek({ state, now }: Turn, peer: Peer, wait: number, alone = false): void {
  if (peer.session || peer.state === 'left' || state.retries.has(peer)) return
  state.retries.set(peer, { at: now + wait, delay: firstDelayMs, alone })
  state.due.recovery = Math.min(state.due.recovery, now + wait)
}

/** Everybody, because there is nobody. */
export function seekAll(turn: Turn): void {
  const { state } = turn
  if (state.sessions.size > 0) return
  for (const peer of state.peers.values()) {
    if (hasRoute(peer)) seek(turn, peer, 0, true)
  }
}

/** Every anchor is worth a session. */
export function seekAnchors(turn: Turn): void {
  for (const peer of turn.state.peers.values()) if (isAnchor(peer)) seek(turn, peer, 0)
}

/** A session came up: the peer is found, and whoever was sought for want of it need not be. */
export function found({ state }: Turn, peer: Peer): void {
  state.retries.delete(peer)
  for (const [other, { alone }] of state.retries) {
    if (alone && !isAnchor(other)) state.retries.delete(other)
  }
}

/** What failed before may work from where we are now. */
export function seekAnew(turn: Turn): void {
  const { state, now } = turn
  for (const retry of state.retries.values()) {
    retry.at = now
    retry.delay = firstDelayMs
  }
  if (state.retries.size > 0) state.due.recovery = now
  seekAnchors(turn)
  seekAll(turn)
}

/** Anchors before others, then who waits longest. */
function dueRetries({ retries }: State, now: number): Peer[] {
  return [...retries]
    .filter(([, { at }]) => at <= now)
    .sort(
      ([one, { at }], [other, { at: otherAt }]) =>
        Number(isAnchor(other)) - Number(isAnchor(one)) || at - otherAt,
    )
    .map(([peer]) => peer)
}

export function recover({ state, now, effects }: Turn): void {
  if (state.due.recovery > now) return
  const due = dueRetries(state, now)
  for (const peer of due.splice(0, groupSize)) {
    const retry = state.retries.get(peer)
    if (retry === undefined) continue
    if (hasRoute(peer)) effects.push({ type: 'connect', peer: peer.id })
    retry.at = now + state.random.around(retry.delay)
    retry.delay = Math.min(retry.delay * 2, longestDelayMs)
  }
  let next = Infinity
  for (const { at } of state.retries.values()) next = Math.min(next, at)
  state.due.recovery = due.length > 0 ? now + groupEveryMs : next
}
