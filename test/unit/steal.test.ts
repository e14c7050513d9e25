/** The time that a host takes from what is measured. */
import t from 'tap'

import { Patience } from '../../bench/steal.js'

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

interface Scene {
  readonly seconds: number
  /** Of every thousand ticks, one measurement after the other. */
  readonly stolen: readonly number[]
}

/** The number of the measurement that counts, what was taken from it, and the pauses; every measurement takes 8 s. */
async function play({ seconds, stolen }: Scene): Promise<[number, number, number[]]> {
  let clock = 0
  const pauses: number[] = []
  const patience = new Patience(seconds, {
    stat: stat(stolen),
    now: () => clock,
    pause: (ms) => {
      clock += ms
      pauses.push(ms)
      return Promise.resolve()
    },
  })
  const count = counter()
  const counted = await patience.undisturbed(() => {
    clock += 8000
    return count()
  })
  return [counted.value, counted.stolen, pauses]
}

t.test('what the host took is a share of all time', async (t) => {
  t.same(await play({ seconds: 0, stolen: [50] }), [1, 5, []])
})

t.test('a measurement that was left alone counts at once', async (t) => {
  t.same(await play({ seconds: 100, stolen: [20, 0] }), [1, 2, []])
})

t.test(
  'a disturbed measurement is repeated, with pauses that grow, until one is not',
  async (t) => {
    t.same(await play({ seconds: 1000, stolen: [300, 200, 10] }), [3, 1, [2000, 4000]])
  },
)

t.test('a measurement is repeated five times at most', async (t) => {
  const pauses = [2000, 4000, 8000, 16_000, 32_000]
  t.same(await play({ seconds: 1000, stolen: [90, 80, 70, 60, 50, 40, 0] }), [6, 4, pauses])
})

t.test('when patience is at its end, the least disturbed measurement counts', async (t) => {
  t.same(await play({ seconds: 0, stolen: [300, 0] }), [1, 30, []])
  // 2 + 8 and 4 + 8 seconds: the third measurement is the last.
  t.same(await play({ seconds: 20, stolen: [300, 30, 40, 0] }), [2, 3, [2000, 4000]])
})

t.test('patience is one for all measurements of a run', async (t) => {
  let clock = 0
  const around = {
    stat: stat([300, 300, 300, 300]),
    now: () => clock,
    pause: () => Promise.resolve(),
  }
  const patience = new Patience(5, around)
  const count = counter()
  const measure = (): Promise<number> => {
    clock += 8000
    return count()
  }
  await patience.undisturbed(measure)
  t.equal(await count(), 3, 'repeated once')
  await patience.undisturbed(measure)
  t.equal(await count(), 5, 'not repeated')
})
