/** The time that a host takes from what is measured. */
import t from 'tap'

import { undisturbed, watched } from '../../bench/steal.js'

/** /proc/stat as it reads one time after the other: 1000 ticks later, of which `stolen[n]` were stolen. */
function stat(stolen: readonly number[]): () => Promise<string> {
  const totals = [0]
  for (const ticks of stolen)
    totals.push((totals.at(-1) ?? 0) + ticks, (totals.at(-1) ?? 0) + ticks)
  let reads = 0
  return () => {
    const [n, lost] = [reads, totals[reads] ?? 0]
    reads += 1
    // Guests' time, the ninth and tenth, is part of user time already.
    return Promise.resolve(
      `cpu  ${n * 1000 - lost} 0 0 0 0 0 0 ${lost} 77 ${n * 500}\ncpu0 1 2 3\n`,
    )
  }
}

function counter(): () => Promise<number> {
  let count = 0
  return () => Promise.resolve(++count)
}

t.test('what the host took is a share of all time', async (t) => {
  t.same(await watched(counter(), stat([50])), { value: 1, stolen: 5 })
})

t.test('a measurement that was left alone counts at once', async (t) => {
  t.same(await undisturbed(counter(), stat([20, 0])), { value: 1, stolen: 2 })
})

t.test('of a disturbed measurement and the next one, the less disturbed counts', async (t) => {
  t.same(await undisturbed(counter(), stat([300, 30])), { value: 2, stolen: 3 })
  t.same(await undisturbed(counter(), stat([30, 300])), { value: 1, stolen: 3 })
})
