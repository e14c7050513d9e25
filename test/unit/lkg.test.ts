import { existsSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'
import { decodeEntry, encodeEntry, mostEndpoints, mostPeers, peerIn } from '#src/lkg/entry.js'
import { openStore, storeFile } from '#src/lkg/store.js'
import type { CachedPeer } from '#src/lkg/store.js'
import { killWhileWriting } from '../bed/lkg-kills.js'

function peer(id: string, extra: Partial<CachedPeer> = {}): CachedPeer {
  const endpoint = {
    interface: 'eth0',
    source: 'self-attested',
    sequence: 3,
    lastSuccess: 5,
  } as const
  const endpoints = [{ address: '192.0.2.7:51820', ...endpoint }]
  return { id, anchor: true, lastSuccess: 5, endpoints, record: 'AQID', ...extra }
}

/** A directory whose cache holds one peer. */
async function filled(t: Test): Promise<string> {
  const directory = t.testdir()
  const { store } = await openStore(directory)
  await store.put(peer('a'))
  await store.close()
  return directory
}

t.test('a new cache is empty, and only its owner may read it', async (t) => {
  const directory = t.testdir()
  const { store, warning } = await openStore(directory)
  t.equal(warning, undefined)
  t.equal(store.sequence, 0)
  t.equal(store.peers.size, 0)
  t.equal(statSync(storeFile(directory)).mode & 0o777, 0o600)
  await store.close()
})

t.test('what was stored is there after closing', async (t) => {
  const directory = t.testdir()
  const first = (await openStore(directory)).store
  first.storeSequence(7)
  await first.put(peer('a'))
  await first.put(peer('b', { lastSuccess: null, endpoints: [], record: null }))
  await first.put(peer('a', { anchor: false }))
  await first.close()
  const { store, warning } = await openStore(directory)
  t.equal(warning, undefined)
  t.equal(store.sequence, 7)
  t.same(store.peers.get('a'), peer('a', { anchor: false }))
  t.same(store.peers.get('b')?.endpoints, [])
  await store.close()
})

t.test('the sequence number never goes back', async (t) => {
  const directory = t.testdir()
  const { store } = await openStore(directory)
  store.storeSequence(7)
  store.storeSequence(6)
  t.equal(store.sequence, 7)
  await store.close()
  const again = (await openStore(directory)).store
  t.equal(again.sequence, 7)
  await again.close()
})

t.test('one peer more than the cache holds displaces the one met longest ago', async (t) => {
  const directory = t.testdir()
  const { store } = await openStore(directory)
  const puts = Array.from({ length: mostPeers }, (_, index) =>
    store.put(peer(`p${index}`, { anchor: index === 0, lastSuccess: 100 + index })),
  )
  await Promise.all(puts)
  await store.put(peer('late', { anchor: false, lastSuccess: null }))
  t.equal(store.peers.size, mostPeers)
  t.ok(store.peers.has('p0'), 'an anchor stays')
  t.notOk(store.peers.has('p1'))
  t.ok(store.peers.has('late'))
  await store.close()
  const again = (await openStore(directory)).store
  t.equal(again.peers.size, mostPeers)
  await again.close()
})

t.test('a peer keeps its best endpoints and no oversized record', async (t) => {
  const { store } = await openStore(t.testdir())
  const [endpoint] = peer('a').endpoints
  const endpoints = Array.from({ length: mostEndpoints + 1 }, (_, index) => ({
    ...endpoint,
    address: `192.0.2.7:${index + 1}`,
  })) as CachedPeer['endpoints']
  await store.put(peer('a', { endpoints, record: 'A'.repeat(4_000) }))
  const kept = store.peers.get('a')
  t.equal(kept?.endpoints.length, mostEndpoints)
  t.equal(kept?.endpoints[0]?.address, '192.0.2.7:1')
  t.equal(kept?.record, null)
  await store.close()
})

const damages: Record<string, (file: string) => void> = {
  'a file of noise': (file) => {
    writeFileSync(file, Buffer.alloc(9_000, 0xa5))
  },
  'a file of text': (file) => {
    writeFileSync(file, 'not a database\n')
  },
  'a file cut in the middle of a page': (file) => {
    truncateSync(file, 8_200)
  },
  'a file with overwritten pages': (file) => {
    const bytes = readFileSync(file)
    writeFileSync(file, bytes.fill(0x5a, 8_192))
  },
}

for (const [name, damage] of Object.entries(damages)) {
  t.test(`${name} is set aside with a warning, and the start goes on`, async (t) => {
    const directory = await filled(t)
    const file = storeFile(directory)
    damage(file)
    const damaged = readFileSync(file)
    const { store, warning } = await openStore(directory)
    t.match(warning, /is no cache of ours: .*; kept as .*lkg\.mdb\.damaged/)
    t.ok(readFileSync(`${file}.damaged`).equals(damaged), 'it is kept as it was')
    t.notOk(existsSync(`${file}.probe`), 'the copy is gone')
    t.equal(store.peers.size, 0)
    await store.put(peer('b'))
    await store.close()
    t.equal((await openStore(directory)).warning, undefined)
  })
}

t.test('one changed byte of an entry is noticed', async (t) => {
  const directory = await filled(t)
  const file = storeFile(directory)
  const bytes = readFileSync(file)
  // lmdb keeps old pages: all copies of the address are changed.
  for (let at = bytes.indexOf('192.0.2.7'); at >= 0; at = bytes.indexOf('192.0.2.7', at)) {
    bytes.write('192.0.2.8', at)
  }
  writeFileSync(file, bytes)
  t.match((await openStore(directory)).warning, /the entry peer\/a is damaged/)
})

t.test('a directory in place of the file is set aside too', async (t) => {
  const directory = t.testdir()
  mkdirSync(storeFile(directory))
  t.match((await openStore(directory)).warning, /is no cache of ours/)
})

t.test('a directory that cannot hold the cache is an error with a remedy', async (t) => {
  const directory = join(t.testdir(), 'file')
  writeFileSync(directory, '')
  await t.rejects(openStore(directory), { code: 'StateUnusable', remedy: /state_dir/ })
})

t.test('an entry is read only as it was written', (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(), (value, position) => {
      const bytes = encodeEntry(value)
      t.same(decodeEntry(bytes), JSON.parse(JSON.stringify(value)))
      const at = position % bytes.length
      bytes[at] = (bytes[at] ?? 0) ^ 1
      t.equal(decodeEntry(bytes), undefined)
    }),
  )
  t.end()
})

t.test('any bytes and any values are read, as a peer or as nothing', (t) => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.anything(), (bytes, value) => {
      decodeEntry(bytes)
      peerIn(value)
    }),
  )
  t.same(peerIn(peer('a')), peer('a'))
  t.end()
})

/** The full test kills 200 times: WHALESCALE_KILLS=200 node scripts/test.js lkg */
const kills = Number(process.env['WHALESCALE_KILLS'] ?? 12)

t.test(
  `${kills} kills while writing lose nothing acknowledged`,
  { timeout: 300_000 },
  async (t) => {
    const { acknowledged, lost } = await killWhileWriting(t.testdir(), kills, Math.random)
    t.comment(`${acknowledged} acknowledgements`)
    t.ok(acknowledged > kills, 'the writer was killed while it wrote')
    t.same(lost, [])
  },
)
