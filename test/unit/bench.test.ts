import t from 'tap'
import { longestGap, rate, secondsUntilHeld, series } from '../../bench/multipath/arrivals.js'
import type { Arrivals } from '../../bench/multipath/flows.js'
import { judge } from '../../bench/multipath/judge.js'
import { ContestantRecord, type ScenarioResult } from '../../bench/multipath/result.js'

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
  t.equal(judge([result([10])], 'edpf')[0]?.outcome, 'unknown')
  t.end()
})
