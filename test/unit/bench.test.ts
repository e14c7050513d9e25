import t from 'tap'
import {
  gapAt,
  longestGap,
  rate,
  secondsUntilHeld,
  series,
} from '../../bench/multipath/arrivals.js'
import type { Arrivals } from '../../bench/multipath/flows.js'
import { judge } from '../../bench/multipath/judge.js'
import { multipathMarkdown } from '../../bench/multipath/markdown.js'
import {
  agree,
  disturbedSeeds,
  isComplete,
  merge,
  mergeScenarios,
} from '../../bench/multipath/merge.js'
import { seedsOf } from '../../bench/multipath/mode.js'
import { replay } from '../../bench/multipath/replay.js'
import {
  ContestantRecord,
  type Result,
  type ScenarioResult,
  type Settings,
} from '../../bench/multipath/result.js'

/** 1 MB/s (8 Mbit/s) from 1000 ms on, but for a pause from 1200 to 1500. */
const arrivals: Arrivals = {
  start: 1000,
  end: 2000,
  binMs: 10,
  bins: Array.from({ length: 100 }, (_, i) => (i >= 20 && i < 50 ? 0 : 10_000)),
  gaps: [[1200, 300]],
}

t.test('a rate is that of its window, and silence outside the log', (t) => {
  t.equal(rate(arrivals, 1000, 1200), 8)
  t.equal(rate(arrivals, 1100, 1300), 4)
  t.equal(rate(arrivals, 1900, 2100), 4)
  t.equal(rate(arrivals, 900, 1100), 4)
  t.end()
})

t.test('a pause counts with its part inside the window', (t) => {
  t.equal(longestGap(arrivals, 1000, 2000), 300)
  t.equal(longestGap(arrivals, 1250, 2000), 250)
  t.equal(longestGap(arrivals, 1000, 1300), 100)
  t.equal(longestGap(arrivals, 1600, 2000), 0)
  t.end()
})

/** 8 Mbit/s from 3 s on; before, half of it, but for a burst of 100 ms at 1 s that makes up for more than a second. */
const burst: Arrivals = {
  start: 0,
  end: 6000,
  binMs: 10,
  bins: Array.from({ length: 600 }, (_, i) =>
    i >= 300 ? 10_000 : i >= 100 && i < 110 ? 60_000 : 5_000,
  ),
  gaps: [],
}

t.test('a failover takes as long as the longest pause that begins near the cut', (t) => {
  const two: Arrivals = { ...arrivals, gaps: [...arrivals.gaps, [1700, 290]] }
  t.equal(gapAt(two, 1250, 400), 250)
  t.equal(gapAt(two, 1250, 500), 290)
  t.equal(gapAt(two, 1000, 200), 0)
  t.end()
})

t.test('a rate is back from when on it stays', (t) => {
  const window = { from: 500, to: 6000, mbit: 8, windowMs: 500, heldMs: 2000 }
  t.equal(secondsUntilHeld(burst, window), 2.5)
  t.equal(secondsUntilHeld(burst, { ...window, from: 3500 }), 0)
  t.end()
})

t.test('a burst brings no rate back', (t) => {
  const window = { from: 500, to: 3000, mbit: 8, windowMs: 500, heldMs: 1500 }
  t.equal(secondsUntilHeld(burst, { ...window, heldMs: 500 }), 0.05, 'a single window has it')
  t.equal(secondsUntilHeld(burst, window), 2.5, 'but nothing holds it')
  t.end()
})

t.test('a rate that is not there long enough before the end is not back', (t) => {
  const window = { from: 500, mbit: 8, windowMs: 500, heldMs: 2000 }
  t.equal(secondsUntilHeld(burst, { ...window, to: 4900 }), 4.4)
  t.equal(secondsUntilHeld(burst, { ...window, to: 5000 }), 2.5)
  t.end()
})

t.test('a course has one rate per step', (t) => {
  t.same(series(arrivals, 250, 2000), [6.4, 0, 8, 8])
  t.end()
})

function result(gaps: readonly number[]): ScenarioResult {
  const record = new ContestantRecord('edpf')
  for (const [seed, gap] of gaps.entries()) record.add(seed, { figures: { gap } }, null)
  return {
    name: 'cut',
    title: '',
    kind: 'cut',
    links: [],
    topology: 'pairs',
    congestionControl: 'cubic',
    random: false,
    quick: false,
    bars: [{ figure: 'gap', atMost: 200 }],
    contestants: [record.finish()],
  }
}

t.test('one long gap misses the bar, however many runs were short', (t) => {
  t.equal(judge([result([10, 10, 10, 201])], 'edpf')[0]?.outcome, 'miss')
  t.equal(judge([result([10, 10, 10, 200])], 'edpf')[0]?.outcome, 'pass')
  t.end()
})

t.test('a bar without figures is neither passed nor missed', (t) => {
  t.equal(judge([result([])], 'edpf')[0]?.outcome, 'unknown')
  t.equal(judge([result([10])], 'wrr')[0]?.outcome, 'unknown')
  t.end()
})

const settings: Settings = {
  mode: 'bars',
  schedulers: ['edpf'],
  firstSeed: 1,
  seeds: 3,
  rounds: 2,
  roundsWithoutBar: 1,
  controls: 1,
  patienceSeconds: 0,
  warmUpSeconds: 1,
  loadSeconds: 1,
  silentSeconds: 1,
  afterCutSeconds: 1,
  afterReturnSeconds: 1,
  afterUdpReturnSeconds: 1,
}

/** A part of a run: one scenario with a gap for each seed. */
function part(name: string, gaps: Readonly<Record<number, number>>): Result {
  const record = new ContestantRecord('edpf')
  for (const [seed, gap] of Object.entries(gaps)) {
    record.add(Number(seed), { figures: { gap } }, null)
  }
  const scenarios = [{ ...result([]), name, title: `${name}, cut`, contestants: [record.finish()] }]
  const provenance = {
    date: '2026-11-21',
    cpu: 'a CPU',
    cores: 2,
    memoryMB: 1000,
    kernel: '6',
    commit: 'abc',
    modified: false,
    loadBefore: 0,
    iperf3: '3',
    node: '20',
  }
  const bars = judge(scenarios, 'edpf')
  return { schema: 1, bench: 'multipath', provenance, settings, scenarios, bars }
}

t.test(
  'a scenario runs as often as its bar and its chance deserve, from the first seed on',
  (t) => {
    const scenario = result([])
    t.same(seedsOf(scenario, settings), [1, 2])
    t.same(seedsOf({ ...scenario, random: true }, settings), [1, 2, 3])
    t.same(seedsOf({ ...scenario, random: true }, { ...settings, firstSeed: 3 }), [3])
    t.same(seedsOf({ ...scenario, bars: [], random: true }, settings), [1])
    t.same(seedsOf(scenario, { ...settings, firstSeed: 3 }), [])
    t.end()
  },
)

t.test('parts add up, in the order of the grid, and are judged together', (t) => {
  const [first, second] = [part('b', { 1: 10, 2: 300 }), part('a', { 1: 20 })]
  const order = [...second.scenarios, ...first.scenarios]
  const both = merge(merge(first, second, order), part('b', { 2: 30, 3: 199 }), order)
  t.same(
    both.scenarios.map(({ name }) => name),
    ['a', 'b'],
  )
  const b = both.scenarios[1]?.contestants[0]
  t.same(
    b?.runs.map(({ seed, figures }) => [seed, figures.gap]),
    [
      [1, 10],
      [2, 30],
      [3, 199],
    ],
  )
  t.equal(b?.summary.gap?.max, 199)
  t.match(both.bars, [
    { scenario: 'a', value: 20 },
    { scenario: 'b', value: 199, outcome: 'pass' },
  ])
  t.end()
})

function disturbed(gap: number, stolen: number, seed = 1): ScenarioResult {
  const record = new ContestantRecord('edpf')
  record.add(seed, { figures: { gap, stolen } }, null)
  return { ...result([]), contestants: [record.finish()] }
}

t.test('of two runs of a seed the newer counts, unless the host disturbed it more', (t) => {
  const kept = (older: ScenarioResult, newer: ScenarioResult): number | undefined =>
    mergeScenarios(older, newer).contestants[0]?.summary.gap?.median
  t.equal(kept(disturbed(1, 0.1), disturbed(2, 2)), 2)
  t.equal(kept(disturbed(1, 0.1), disturbed(2, 3)), 1)
  t.equal(kept(disturbed(1, 5), disturbed(2, 4)), 2)
  t.equal(kept(disturbed(1, 4), disturbed(2, 5)), 1)
  t.same(disturbedSeeds(disturbed(1, 3)), [1])
  t.same(disturbedSeeds(disturbed(1, 2)), [])
  t.end()
})

t.test('a 99th percentile is disturbed by less than a median', (t) => {
  const rpc = (stolen: number): ScenarioResult => ({ ...disturbed(1, stolen), kind: 'rpc' })
  t.same(disturbedSeeds(rpc(0.6)), [1])
  t.same(disturbedSeeds(rpc(0.5)), [])
  t.end()
})

/** Goes round again; `stolen` is what the host takes from one repetition after the other, and then no more. */
async function rounds(
  played: readonly ScenarioResult[],
  stolen: readonly number[],
  patience = Infinity,
): Promise<{ order: string[]; gaps: (number | undefined)[] }> {
  const order: string[] = []
  const again = (scenario: ScenarioResult, seeds: readonly number[]): Promise<ScenarioResult> => {
    const taken = stolen[order.length] ?? 0
    order.push(`${scenario.name} ${seeds.join()}`)
    const [seed = 0] = seeds
    return Promise.resolve({ ...disturbed(order.length, taken, seed), name: scenario.name })
  }
  const results = await replay(played, again, () => order.length < patience)
  return { order, gaps: results.map(({ contestants }) => contestants[0]?.summary.gap?.median) }
}

const spell = [
  { ...disturbed(100, 10), name: 'a' },
  { ...disturbed(200, 0), name: 'b' },
  { ...disturbed(300, 10, 7), name: 'c' },
]

t.test(
  'what the host disturbed is run again, round after round, until nothing of it is left',
  async (t) => {
    const { order, gaps } = await rounds(spell, [5, 0, 0])
    t.same(order, ['a 1', 'c 7', 'a 1'])
    t.same(gaps, [3, 200, 2])
  },
)

t.test('when patience is at its end, the rest of the round is left out', async (t) => {
  const { order, gaps } = await rounds(spell, [20, 5], 1)
  t.same(order, ['a 1'])
  t.same(gaps, [100, 200, 300])
})

t.test('a run is complete when no seed of any scenario is missing', (t) => {
  const whole = merge(part('a', { 1: 1, 2: 1 }), part('b', { 1: 1 }), [
    ...part('a', {}).scenarios,
    ...part('b', {}).scenarios,
  ])
  t.equal(isComplete(whole, whole.scenarios, settings), false)
  t.equal(isComplete(whole, whole.scenarios.slice(0, 1), settings), true)
  t.end()
})

t.test('parts of other machines, commits, loads or unknown trees do not add up', (t) => {
  const [a, b] = [part('a', {}), part('b', {})]
  const from = (provenance: Partial<Result['provenance']>): Result => ({
    ...b,
    provenance: { ...b.provenance, ...provenance },
  })
  t.equal(agree(a, from({ date: 'later', loadBefore: 1 })), true)
  t.equal(agree(a, { ...b, settings: { ...settings, firstSeed: 3, seeds: 10 } }), true)
  t.equal(agree(a, from({ cpu: 'another' })), false)
  t.equal(agree(a, from({ commit: 'def' })), false)
  t.equal(agree(a, from({ modified: true })), false)
  t.equal(agree(a, { ...b, settings: { ...settings, loadSeconds: 2 } }), false)
  t.equal(agree(a, { ...b, settings: { ...settings, schedulers: ['wrr'] } }), false)
  t.end()
})

t.test('the README says what is missed, and what was not measured', (t) => {
  const row = (result: Result): string =>
    multipathMarkdown(JSON.stringify(result)).split('\n')[2] ?? ''
  t.equal(
    row(part('a', { 1: 100, 2: 250 })),
    '| a, cut | longest gap, worst run | **250 ms** | <= 200 |  |',
  )
  t.equal(row(part('a', { 1: 100 })), '| a, cut | longest gap, worst run | 100 ms | <= 200 |  |')
  t.equal(row(part('a', {})), '| a, cut | longest gap, no figure | not measured | <= 200 |  |')
  t.end()
})
