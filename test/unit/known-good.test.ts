import t from 'tap'
import type { Test } from 'tap'
import { openStore } from '#src/lkg/store.js'
import { KnownGood } from '#src/node/known-good.js'
import type { Present } from '#src/node/known-good.js'
import { logTwin } from '../twins/log.js'

const present: Present = {
  anchor: true,
  sequence: 9,
  selfAttested: ['192.0.2.7:1', '192.0.2.8:1'],
  observed: ['203.0.113.5:1'],
  configured: ['198.51.100.4:1'],
  paths: [
    { interface: 'eth0', remote: '192.0.2.7:1' },
    { interface: 'wlan0', remote: '192.0.2.7:1' },
  ],
}

/** A cache over a store of its own, at second 5 of 1970. */
async function cacheOf(t: Test, known: ReadonlyMap<string, Present>) {
  const directory = t.testdir()
  const { store } = await openStore(directory)
  const cache = new KnownGood({
    store,
    log: logTwin(),
    wallClock: () => 5_000,
    present: () => known,
  })
  return { cache, directory }
}

t.test(
  'what worked comes first, once for each path, then the word of the peer, then hints',
  async (t) => {
    const { cache } = await cacheOf(t, new Map([['a', present]]))
    cache.succeeded('a', '192.0.2.7:1')
    await cache.flush()
    const worked = {
      address: '192.0.2.7:1',
      source: 'self-attested',
      sequence: 9,
      lastSuccess: 5_000,
    }
    const untried = { interface: null, sequence: 0, lastSuccess: null }
    t.same(cache.peers[0], {
      id: 'a',
      anchor: true,
      lastSuccess: 5_000,
      record: null,
      endpoints: [
        { ...worked, interface: 'eth0' },
        { ...worked, interface: 'wlan0' },
        { ...untried, address: '192.0.2.8:1', source: 'self-attested', sequence: 9 },
        { ...untried, address: '198.51.100.4:1', source: 'configured' },
        { ...untried, address: '203.0.113.5:1', source: 'observed' },
      ],
    })
    await cache.close()
  },
)

t.test('an address that once worked stays, also when nobody names it any more', async (t) => {
  const known = new Map([['a', { ...present, paths: [] }]])
  const { cache } = await cacheOf(t, known)
  cache.succeeded('a', '203.0.113.99:7')
  await cache.flush()
  known.set('a', { ...present, paths: [], selfAttested: [], observed: [] })
  cache.storeRecord('a', Buffer.from([1, 2, 3]))
  await cache.flush()
  t.match(cache.peers[0]?.endpoints[0], { address: '203.0.113.99:7', lastSuccess: 5_000 })
  t.equal(cache.peers[0]?.record, 'AQID')
  await cache.close()
})

t.test('all is there after a restart, and the sequence number at once', async (t) => {
  const { cache, directory } = await cacheOf(t, new Map([['a', present]]))
  cache.storeSequence(17)
  cache.succeeded('a', '192.0.2.7:1')
  await cache.close()
  const { store } = await openStore(directory)
  t.equal(store.sequence, 17)
  t.same([...store.peers.values()], cache.peers)
  await store.close()
})

t.test('without a store it remembers until the end', async (t) => {
  const surroundings = { log: logTwin(), wallClock: () => 1, present: () => new Map() }
  const cache = new KnownGood({ store: undefined, ...surroundings })
  cache.storeSequence(3)
  cache.succeeded('a', '192.0.2.7:1')
  await cache.close()
  t.equal(cache.sequence, 3)
  t.match(cache.peers, [{ id: 'a', endpoints: [{ address: '192.0.2.7:1' }] }])
})
