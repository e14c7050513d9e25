/**
 * What a run yields: one entry per figure, with its unit and which way is better.
 */

export const FIGURES = {
  goodput: { title: 'goodput', unit: 'Mbit/s', better: 'higher', digits: 1 },
  ofSum: { title: 'of the sum', unit: '', better: 'higher', digits: 3 },
  ofBest: { title: 'of the best', unit: '', better: 'higher', digits: 3 },
  failover: { title: 'failover', unit: 'ms', better: 'lower', digits: 0 },
  gap: { title: 'longest gap', unit: 'ms', better: 'lower', digits: 0 },
  after: { title: 'after the cut', unit: 'Mbit/s', better: 'higher', digits: 1 },
  ofSurvivor: { title: 'of the survivors', unit: '', better: 'higher', digits: 3 },
  lost: { title: 'lost', unit: 'datagrams', better: 'lower', digits: 0 },
  recovery: { title: 'full rate after', unit: 's', better: 'lower', digits: 2 },
  delayP99: { title: 'delay p99', unit: 'ms', better: 'lower', digits: 1 },
  rpcP50: { title: 'RPC p50', unit: 'ms', better: 'lower', digits: 1 },
  rpcP99: { title: 'RPC p99', unit: 'ms', better: 'lower', digits: 1 },
  stolen: { title: 'taken by the host', unit: '%', better: 'lower', digits: 1 },
} as const

export type FigureName = keyof typeof FIGURES
export const FIGURE_NAMES = Object.keys(FIGURES) as FigureName[]
export type Figures = Partial<Record<FigureName, number>>

/** Without the unit. What never happened is infinite. */
export function format(name: FigureName, value: number): string {
  return Number.isFinite(value) ? value.toFixed(FIGURES[name].digits) : 'never'
}
