/**
 * What the bench measures: one entry per figure, with its unit and which way is better.
 */

export interface Metric {
  readonly title: string
  /** Column head of the table. */
  readonly short: string
  readonly unit: string
  readonly better: 'higher' | 'lower'
  readonly digits: number
}

export const METRICS = {
  tcpOne: { title: 'One TCP flow', short: '1 TCP', unit: 'Gbit/s', better: 'higher', digits: 2 },
  tcpFour: { title: 'Four TCP flows', short: '4 TCP', unit: 'Gbit/s', better: 'higher', digits: 2 },
  bothWays: {
    title: 'Both directions at once, each way',
    short: 'both',
    unit: 'Gbit/s',
    better: 'higher',
    digits: 2,
  },
  udp64: {
    title: 'UDP 64 B, packets received',
    short: 'UDP 64',
    unit: 'kpps',
    better: 'higher',
    digits: 1,
  },
  udp1300: {
    title: 'UDP 1300 B, packets received',
    short: 'UDP 1300',
    unit: 'kpps',
    better: 'higher',
    digits: 1,
  },
  pingIdle: {
    title: 'Ping, idle, mean',
    short: 'ping idle',
    unit: 'ms',
    better: 'lower',
    digits: 3,
  },
  pingIdleP50: {
    title: 'Ping, idle, median',
    short: 'idle p50',
    unit: 'ms',
    better: 'lower',
    digits: 3,
  },
  pingIdleP99: {
    title: 'Ping, idle, 99th percentile',
    short: 'idle p99',
    unit: 'ms',
    better: 'lower',
    digits: 3,
  },
  pingLoaded: {
    title: 'Ping under one TCP flow, mean',
    short: 'ping load',
    unit: 'ms',
    better: 'lower',
    digits: 2,
  },
  pingLoadedP50: {
    title: 'Ping under one TCP flow, median',
    short: 'load p50',
    unit: 'ms',
    better: 'lower',
    digits: 2,
  },
  pingLoadedP99: {
    title: 'Ping under one TCP flow, 99th percentile',
    short: 'load p99',
    unit: 'ms',
    better: 'lower',
    digits: 2,
  },
  cpuPerGB: {
    title: 'CPU of both agents, one TCP flow',
    short: 'CPU',
    unit: 's/GB',
    better: 'lower',
    digits: 2,
  },
  rss: { title: 'Peak memory of one agent', short: 'RSS', unit: 'MB', better: 'lower', digits: 1 },
  idleCpu: {
    title: 'CPU of one agent, connected and idle',
    short: 'idle CPU',
    unit: '%',
    better: 'lower',
    digits: 2,
  },
  stolen: {
    title: 'Taken by the host, worst load',
    short: 'stolen',
    unit: '%',
    better: 'lower',
    digits: 1,
  },
  startUp: {
    title: 'Start of `up` to first answered packet',
    short: 'start',
    unit: 'ms',
    better: 'lower',
    digits: 0,
  },
} as const satisfies Record<string, Metric>

export type MetricName = keyof typeof METRICS

export const METRIC_NAMES = Object.keys(METRICS) as MetricName[]

export type Figures = Partial<Record<MetricName, number>>

/** The form used in tables and charts, without the unit. */
export function format(name: MetricName, value: number): string {
  return value.toFixed(METRICS[name].digits)
}
