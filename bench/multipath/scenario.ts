/**
 * What is measured: links, traffic, and what has to be reached. Data, and nothing else.
 * Invariant: a bar names a figure that its scenario's kind yields.
 */
import type { CongestionControl } from './bed.js'
import type { Link } from '#src/cli/demo/emulator.js'
import type { FigureName } from './figure.js'
import type { Topology } from './underlay.js'

/**
 * - goodput: one bulk TCP flow.
 * - cut, return: the same, while link `victim` falls silent, and (return) comes back.
 * - udpCut, udpReturn: the same with datagrams at a constant rate.
 * - rpc: 1 KB requests beside one bulk TCP flow.
 */
export type Kind = 'goodput' | 'cut' | 'return' | 'udpCut' | 'udpReturn' | 'rpc'

export interface Bar {
  readonly figure: FigureName
  readonly atLeast?: number
  readonly atMost?: number
}

export interface Scenario {
  /** On the command line and in the result. */
  readonly name: string
  readonly title: string
  readonly kind: Kind
  readonly links: readonly Link[]
  readonly topology: Topology
  readonly congestionControl: CongestionControl
  /** The link that is cut. */
  readonly victim?: number
  /** Which way it falls silent; both without. */
  readonly direction?: 'a>b' | 'b>a'
  /** Mbit/s of payload of constant-rate traffic; without, nearly all that the paths carry together. */
  readonly udpMbit?: number
  /** Only this scheduler is of use. */
  readonly scheduler?: 'redundant'
  readonly bars: readonly Bar[]
  /** Whether the links have chance in them, so that seeds make a difference. */
  readonly random: boolean
  /** Part of `--quick`. */
  readonly quick: boolean
}

type Options = Partial<Omit<Scenario, 'name' | 'title' | 'kind' | 'links' | 'random'>>

const QUEUE_MS = 60

function link(rate: number, delay: number, more: Partial<Link> = {}): Link {
  return { rate, delay, queue: QUEUE_MS, ...more }
}

const lossy = (rate: number, delay: number): Link => link(rate, delay, { settings: { loss: '1%' } })

const describe = ({ rate, delay, settings = {} }: Link): string =>
  [`${rate}/${delay}`, ...Object.entries(settings).map((setting) => setting.join(' '))].join(' ')

function scenario(
  name: string,
  kind: Kind,
  links: readonly Link[],
  what: string,
  options: Options = {},
): Scenario {
  const title = [links.map(describe).join(' + '), what].filter((part) => part !== '').join(', ')
  const random = links.some(({ settings }) => settings !== undefined)
  const defaults = {
    topology: 'pairs',
    congestionControl: 'cubic',
    bars: [],
    quick: false,
  } as const
  return { name, title, kind, links, random, ...defaults, ...options }
}

const NEAR = [link(50, 10), link(20, 30)] as const
const FAR = [link(50, 10), link(20, 60)] as const
const LOSSY = [lossy(50, 10), lossy(20, 60)] as const

const SUM: readonly Bar[] = [{ figure: 'ofSum', atLeast: 0.95 }]
const goodputBar = (mbit: number): readonly Bar[] => [{ figure: 'goodput', atLeast: mbit }]
const BLACK_HOLE: readonly Bar[] = [
  { figure: 'gap', atMost: 200 },
  { figure: 'ofSurvivor', atLeast: 0.95 },
]
const NOTHING_LOST: readonly Bar[] = [{ figure: 'lost', atMost: 0 }]
/** The links of NEAR differ by 20 ms one way. */
const REDUNDANT: readonly Bar[] = [{ figure: 'gap', atMost: 20 + 10 }, ...NOTHING_LOST]
/** What the slower link of NEAR carries with room to spare. */
const SURVIVABLE_MBIT = 12

const AGGREGATION: readonly Scenario[] = [
  scenario('near', 'goodput', NEAR, '', { bars: SUM, quick: true }),
  scenario('far', 'goodput', FAR, '', { bars: SUM, quick: true }),
  scenario('wide', 'goodput', [link(300, 10), link(30, 30)], '', { bars: SUM, quick: true }),
  scenario(
    'twins',
    'goodput',
    [link(100, 5, { queue: 50 }), link(100, 5, { queue: 50 })],
    'queue 50 ms',
    { bars: SUM },
  ),
  scenario('three', 'goodput', [link(40, 15), link(25, 25), link(10, 50)], '', { bars: SUM }),
  scenario('laptop', 'goodput', NEAR, 'to a server with one address', {
    topology: 'router',
    bars: SUM,
  }),
  scenario('far-bbr', 'goodput', FAR, 'bbr', {
    congestionControl: 'bbr',
    bars: goodputBar(57),
    quick: true,
  }),
  scenario('lossy', 'goodput', LOSSY, '', { bars: goodputBar(57), quick: true }),
  scenario('lossy-bbr', 'goodput', LOSSY, 'bbr', {
    congestionControl: 'bbr',
    bars: goodputBar(52),
  }),
  scenario('lossy-single', 'goodput', [lossy(50, 10)], '', { bars: goodputBar(41), quick: true }),
]

const FAILURE: readonly Scenario[] = [
  scenario('cut-fast', 'cut', NEAR, 'fast one cut', { victim: 0, bars: BLACK_HOLE, quick: true }),
  scenario('cut-slow', 'cut', NEAR, 'slow one cut', { victim: 1, bars: BLACK_HOLE, quick: true }),
  scenario('cut-one-way', 'cut', NEAR, 'fast one cut towards A', {
    victim: 0,
    direction: 'b>a',
    bars: BLACK_HOLE,
  }),
  scenario('udp-cut-fast', 'udpCut', NEAR, 'UDP, fast one cut', {
    victim: 0,
    udpMbit: SURVIVABLE_MBIT,
    bars: NOTHING_LOST,
    quick: true,
  }),
  scenario('udp-cut-slow', 'udpCut', NEAR, 'UDP, slow one cut', {
    victim: 1,
    udpMbit: SURVIVABLE_MBIT,
    bars: NOTHING_LOST,
    quick: true,
  }),
  scenario('return', 'return', NEAR, 'fast one returns', {
    victim: 0,
    bars: [{ figure: 'recovery', atMost: 10 }],
  }),
  scenario('return-slow', 'return', NEAR, 'slow one returns', {
    victim: 1,
    bars: [{ figure: 'recovery', atMost: 10 }],
  }),
  scenario('udp-return', 'udpReturn', NEAR, 'UDP, fast one returns', {
    victim: 0,
    bars: [{ figure: 'recovery', atMost: 2 }],
    quick: true,
  }),
  scenario('rpc', 'rpc', NEAR, '1 KB requests beside bulk', {
    bars: [{ figure: 'rpcP99', atMost: 2 * 10 + 15 }],
    quick: true,
  }),
  ...([0, 1] as const).map((victim) =>
    scenario(
      `redundant-cut-${victim === 0 ? 'fast' : 'slow'}`,
      'udpCut',
      NEAR,
      `redundant, UDP, ${victim === 0 ? 'fast' : 'slow'} one cut`,
      {
        victim,
        udpMbit: SURVIVABLE_MBIT,
        scheduler: 'redundant',
        bars: REDUNDANT,
        quick: victim === 0,
      },
    ),
  ),
]

/** A link whose rate follows `rates`, each for half a second, for ever. */
function traced(delay: number, rates: readonly number[]): Link {
  const changes = rates.map((rate, i) => `${i / 2}s rate ${rate}mbit`)
  return link(rates[0] ?? 0, delay, { course: { changes, period: `${rates.length / 2}s` } })
}

const varying = (rate: number, delay: number, period: string, changes: readonly string[]): Link =>
  link(rate, delay, { course: { changes, period } })

const jittery = (rate: number, delay: number, jitter: string, loss?: string): Link =>
  link(rate, delay, { settings: { jitter, ...(loss !== undefined && { loss }) } })

/**
 * No bars of their own: they count for the guard, never to be worse than the best single path. What varies does so with
 * a period that a full run's load holds a whole number of times.
 */
const EXTRA: readonly Scenario[] = [
  scenario('equal', 'goodput', [link(50, 10), link(50, 10)], ''),
  scenario('near-equal', 'goodput', [link(50, 10), link(50, 20)], ''),
  scenario('skewed', 'goodput', [link(50, 10), link(12, 20)], ''),
  scenario('ratio-30', 'goodput', [link(150, 5), link(5, 75)], ''),
  scenario('very-far', 'goodput', [link(50, 5), link(20, 150)], ''),
  scenario('four', 'goodput', [link(30, 10), link(20, 20), link(20, 30), link(10, 40)], ''),
  scenario(
    'shallow',
    'goodput',
    [link(50, 10, { queue: 10 }), link(20, 30, { queue: 10 })],
    'queue 10 ms',
  ),
  scenario(
    'bloated',
    'goodput',
    [link(50, 10, { queue: 400 }), link(20, 30, { queue: 400 })],
    'queue 400 ms',
  ),
  scenario(
    'slightly-lossy',
    'goodput',
    [link(50, 10, { settings: { loss: '0.1%' } }), link(20, 30, { settings: { loss: '0.1%' } })],
    '',
  ),
  scenario(
    'bursty',
    'goodput',
    [
      link(50, 10, { settings: { loss: 'bursts 1% 5' } }),
      link(20, 30, { settings: { loss: 'bursts 1% 5' } }),
    ],
    '',
  ),
  scenario('lossy-3', 'goodput', [link(50, 10, { settings: { loss: '3%' } }), link(20, 30)], ''),
  scenario('jitter', 'goodput', [jittery(30, 10, '5ms'), jittery(30, 10, '5ms')], ''),
  scenario('dual-lte', 'goodput', [jittery(30, 25, '8ms'), jittery(20, 30, '10ms')], ''),
  scenario('lte-leo', 'goodput', [jittery(30, 25, '8ms'), jittery(80, 20, '6ms', '0.5%')], ''),
  scenario(
    'lte-traces',
    'goodput',
    [traced(25, [30, 24, 36, 18, 12, 22, 28, 40]), traced(30, [20, 26, 14, 8, 16, 24, 18, 10])],
    'rates that vary',
  ),
  scenario(
    'leo-steps',
    'goodput',
    [varying(80, 20, '8s', ['4s delay 35ms', '8s delay 20ms']), link(30, 30)],
    'delay in steps',
  ),
  scenario(
    'fade',
    'goodput',
    [
      varying(50, 10, '8s', [
        '4s rate 20mbit',
        '5s rate 5mbit',
        '6s rate 20mbit',
        '7s rate 50mbit',
      ]),
      link(20, 30),
    ],
    'fast one fades',
  ),
  scenario(
    'flapping',
    'goodput',
    [varying(50, 10, '4s', ['3s blackhole on', '3.5s blackhole off']), link(20, 30)],
    'fast one flaps',
  ),
]

export const SCENARIOS: readonly Scenario[] = [...AGGREGATION, ...FAILURE, ...EXTRA]
