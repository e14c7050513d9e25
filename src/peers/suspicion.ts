/**
 * How long a suspicion stands before its verdict (Lifeguard, Dadgar et al., section IV-B): it starts at
 * its longest, and each further member that suspects by itself shortens it, so that one slow accuser
 * cannot hurry. Pure.
 */

export type Suspicion = {
  readonly sequence: number
  readonly since: number
  readonly shortest: number
  readonly longest: number
  /** Accusers beyond the first that make it shortest. */
  readonly enough: number
  /** Distinct, the first among them; at most `enough` + 1. */
  readonly accusers: string[]
  /** The check that decides is under way. */
  judged: boolean
}

/**
 * Two confirmations tell a dead member from a bad path. Of many members more are unlucky at the same time,
 * so they take one more for each doubling above 32.
 */
const fewestConfirmations = 2
function confirmationsOf(members: number): number {
  const wanted = Math.max(fewestConfirmations, Math.floor(Math.log2(members)) - 3)
  return Math.max(0, Math.min(wanted, members - 2))
}

/** In a small network; it grows with the logarithm, as a refutation needs longer to arrive. */
const shortestMs = 2_000
const longestFactor = 6

export function suspicionOf(
  sequence: number,
  accuser: string,
  members: number,
  now: number,
): Suspicion {
  const shortest = shortestMs * Math.max(1, Math.log10(members))
  const enough = confirmationsOf(members)
  const longest = enough === 0 ? shortest : shortest * longestFactor
  return { sequence, since: now, shortest, longest, enough, accusers: [accuser], judged: false }
}

/** Whether the accuser was news. */
export function confirm(suspicion: Suspicion, accuser: string): boolean {
  const { accusers, enough } = suspicion
  if (accusers.length > enough || accusers.includes(accuser)) return false
  accusers.push(accuser)
  return true
}

export function verdictAt({ since, shortest, longest, enough, accusers }: Suspicion): number {
  if (enough === 0) return since + shortest
  const share = Math.log(accusers.length) / Math.log(enough + 1)
  return since + Math.max(shortest, longest - share * (longest - shortest))
}
