/**
 * Rates and pauses of what a receiver saw, between two points of time. Pure.
 */
import type { Arrivals } from './flows.js'

/** Mbit/s between two times; what lies outside the log counts as silence. */
export function rate(arrivals: Arrivals, from: number, to: number): number {
  const bin = (at: number): number => Math.round((at - arrivals.start) / arrivals.binMs)
  const [first, last] = [bin(from), bin(to)]
  const bytes = arrivals.bins.slice(Math.max(0, first), Math.max(0, last)).reduce(sum, 0)
  return (bytes * 8) / ((last - first) * arrivals.binMs * 1000)
}

/** Milliseconds; a pause counts with the part of it that lies between the two times. */
export function longestGap(arrivals: Arrivals, from: number, to: number): number {
  const inside = arrivals.gaps.map(([at, length]) => Math.min(at + length, to) - Math.max(at, from))
  return Math.max(0, ...inside)
}

/** Milliseconds of the longest pause that begins before `from`, or less than `withinMs` after it, counted from there. */
export function gapAt(arrivals: Arrivals, from: number, withinMs: number): number {
  const near = arrivals.gaps.filter(([at]) => at < from + withinMs)
  return Math.max(0, ...near.map(([at, length]) => at + length - Math.max(at, from)))
}

/**
 * Seconds from `from` until `mbit` is reached to stay: every `windowMs` of the `heldMs` that follow has it. A burst does
 * not count where `heldMs` is more than two windows, all of which it could be part of. Until `to`, if that never happens.
 */
export function secondsUntilHeld(
  arrivals: Arrivals,
  {
    from,
    to,
    mbit,
    windowMs,
    heldMs,
  }: { from: number; to: number; mbit: number; windowMs: number; heldMs: number },
): number {
  let since = from
  for (let at = from; at + windowMs <= to; at += arrivals.binMs) {
    if (rate(arrivals, at, at + windowMs) < mbit) since = at + arrivals.binMs
    else if (at + windowMs - since >= heldMs) return (since - from) / 1000
  }
  return (to - from) / 1000
}

/** Mbit/s per `stepMs` from the first byte on. */
export function series(arrivals: Arrivals, stepMs: number, to: number): number[] {
  const steps = Math.max(0, Math.floor((to - arrivals.start) / stepMs))
  return Array.from({ length: steps }, (_, i) => {
    const from = arrivals.start + i * stepMs
    return Math.round(rate(arrivals, from, from + stepMs) * 100) / 100
  })
}

function sum(a: number, b: number): number {
  return a + b
}
