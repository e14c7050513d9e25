/** How much a neighbour may still ask of us: a token bucket. */

/** Above what an answer to a digest sends, with room for the rest. */
const perSecond = 64
const burst = 192

export type Allowance = { left: number; at: number }

export function newAllowance(now: number): Allowance {
  return { left: burst, at: now }
}

/** Whether there was enough left; if not, nothing is taken. */
export function spend(allowance: Allowance, cost: number, now: number): boolean {
  const earned = ((now - allowance.at) / 1000) * perSecond
  allowance.left = Math.min(burst, allowance.left + earned)
  allowance.at = now
  if (allowance.left < cost) return false
  allowance.left -= cost
  return true
}

/** For what turned out to be worse than a message: may empty the bucket. */
export function fine(allowance: Allowance, cost: number): void {
  allowance.left = Math.max(0, allowance.left - cost)
}
