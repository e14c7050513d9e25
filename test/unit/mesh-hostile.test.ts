import fc from 'fast-check'
import t from 'tap'
import { identityOf } from '../../bench/gossip/identity.js'
import type { Effect, Input } from '#src/peers/exchange.js'
import { createMesh, recordReader, step } from '#src/node/mesh.js'
import { meshView } from '#src/node/mesh-view.js'
import {
  Kind,
  decodeMessage,
  encodeAck,
  encodeObservation,
  encodeSuspicion,
  encodeUpdate,
} from '#src/wire/messages.js'
import { encodeRecord, encodeSignedRecord, recordDomain } from '#src/wire/record.js'
import type { NodeRecord } from '#src/wire/record.js'
import { isSignedBy } from '#src/wire/signature.js'

const self = identityOf('self')
const honest = identityOf('honest')
const hostile = identityOf('hostile')
const stranger = identityOf('stranger')

/** A machine that knows an honest and a hostile peer, both connected, and holds the honest one's record 5. */
function bed() {
  const mesh = createMesh({ nodeId: self.nodeId, seed: 7, reader: recordReader(isSignedBy) })
  let now = 0
  const give = (input: Input, at = now): Effect[] => {
    now = at
    return step(mesh, input, now)
  }
  const peers = [honest, hostile].map(({ nodeId }) => ({ nodeId, anchor: false, endpoints: [] }))
  give({ type: 'start', sequence: 0, records: [], cached: [] })
  give({ type: 'peers', peers })
  for (const { nodeId } of [honest, hostile]) {
    give({ type: 'session', peer: nodeId, state: 'up', endpoint: '198.51.100.9:1' })
  }
  const from = (sender: string, body: Uint8Array, at = now): Effect[] =>
    give({ type: 'message', from: sender, kind: Kind.update, body }, at)
  from(honest.nodeId, encodeUpdate({ records: [signed(5)] }))
  give({ type: 'tick' }, 20_000)
  for (let round = 0; round < 40; round += 1) give({ type: 'tick' }, now + 250)
  const member = () => meshView(mesh).members.find(({ nodeId }) => nodeId === honest.nodeId)
  const rejected = (reason: string): number => meshView(mesh).rejections[reason] ?? 0
  return { mesh, give, from, member, rejected, now: () => now }
}

function signed(sequence: number, change: Partial<NodeRecord> = {}, by = honest): Uint8Array {
  const body = encodeRecord({
    nodeId: honest.nodeId,
    sequence,
    phase: 'joined',
    anchor: false,
    endpoints: ['203.0.113.5:51820'],
    metadata: {},
    ...change,
  })
  return encodeSignedRecord(body, by.sign(recordDomain, body))
}

/** Whether any update that the machine sends in the next rounds holds the bytes. */
function isPassedOn({ give, now }: ReturnType<typeof bed>, bytes: Uint8Array): boolean {
  for (let round = 0; round < 20; round += 1) {
    for (const effect of give({ type: 'tick' }, now() + 250)) {
      if (effect.type === 'send' && Buffer.from(effect.body).includes(Buffer.from(bytes)))
        return true
    }
  }
  return false
}

const lies: readonly (readonly [string, Uint8Array, string])[] = [
  ['forged', signed(6, { endpoints: ['192.0.2.66:1'] }, hostile), 'signature'],
  ['rolled back', signed(4, { endpoints: ['192.0.2.66:1'] }), 'stale'],
  ['self-contradictory', signed(5, { endpoints: ['192.0.2.66:1'] }), 'contradiction'],
  ['about a stranger', signed(9, { nodeId: stranger.nodeId }, stranger), 'subject'],
  ['oversized', new Uint8Array(700), 'oversized'],
  ['malformed', Uint8Array.of(1, 2, 3), 'malformed'],
]

for (const [name, bytes, reason] of lies) {
  t.test(`a record that is ${name} is counted, not used and not passed on`, (t) => {
    const b = bed()
    b.from(hostile.nodeId, encodeUpdate({ records: [bytes] }))
    t.equal(b.rejected(reason), 1)
    t.match(b.member(), { sequence: 5, endpoints: ['203.0.113.5:51820'] })
    t.notOk(isPassedOn(b, bytes))
    t.end()
  })
}

t.test('a replayed record changes nothing', (t) => {
  const b = bed()
  const effects = b.from(hostile.nodeId, encodeUpdate({ records: [signed(5)] }))
  t.notOk(effects.some(({ type }) => type === 'storeRecord' || type === 'endpoints'))
  t.notOk(isPassedOn(b, signed(5)))
  t.end()
})

t.test('an old record is answered with the newer one', (t) => {
  const b = bed()
  b.from(hostile.nodeId, encodeUpdate({ records: [signed(4)] }))
  t.ok(isPassedOn(b, signed(5)))
  t.end()
})

t.test('an observation stands behind what the peer says itself', (t) => {
  const b = bed()
  const lie = encodeObservation({ subject: honest.nodeId, endpoint: '192.0.2.66:1' })
  const effects = b.from(hostile.nodeId, encodeUpdate({ observations: lie ? [lie] : [] }))
  const told = effects.find((effect) => effect.type === 'endpoints')
  t.strictSame(told?.candidates, [
    { endpoint: '203.0.113.5:51820', source: 'self-attested' },
    { endpoint: '192.0.2.66:1', source: 'observed' },
  ])
  t.match(b.member(), { endpoints: ['203.0.113.5:51820'] })
  t.end()
})

t.test('a thousand observations by one peer leave one', (t) => {
  const b = bed()
  for (let i = 0; i < 1_000; i += 1) {
    const lie = encodeObservation({ subject: honest.nodeId, endpoint: `192.0.2.1:${i + 1}` })
    b.from(hostile.nodeId, encodeUpdate({ observations: lie ? [lie] : [] }), b.now() + 100)
  }
  t.equal(b.member()?.observed.length, 1)
  t.end()
})

t.test(
  'an accusation alone makes nobody Gone: the accused is asked, and its answer counts',
  (t) => {
    const b = bed()
    const part = encodeSuspicion({
      subject: honest.nodeId,
      sequence: 5,
      accuser: hostile.nodeId,
    })
    let asked = 0
    for (let round = 0; round < 200; round += 1) {
      const at = b.now() + 250
      const effects = [
        ...b.from(hostile.nodeId, encodeUpdate({ suspicions: [part] }), at),
        ...b.give({ type: 'tick' }),
      ]
      for (const effect of effects) {
        if (effect.type !== 'send' || effect.to !== honest.nodeId) continue
        if (effect.kind !== Kind.ping) continue
        asked += 1
        const ping = decodeMessage(effect.kind, effect.body)
        if (typeof ping === 'string' || ping.type !== 'ping') continue
        const body = encodeAck({ token: ping.token, unreached: false })
        b.give({ type: 'message', from: honest.nodeId, kind: Kind.ack, body })
      }
    }
    t.ok(asked > 0)
    t.equal(b.member()?.state, 'joined')
    t.end()
  },
)

t.test('a flood is cut off, and the honest peer is still heard', (t) => {
  const b = bed()
  for (let i = 0; i < 10_000; i += 1) {
    const records = [signed(100 + (i % 5), {}, hostile)]
    b.from(hostile.nodeId, encodeUpdate({ records }))
  }
  t.ok(b.rejected('rate') > 9_000)
  t.ok(b.rejected('signature') < 100)
  b.from(honest.nodeId, encodeUpdate({ records: [signed(6)] }))
  t.equal(b.member()?.sequence, 6)
  t.end()
})

t.test('any messages of a peer leave the machine working and bounded', (t) => {
  const run = fc.check(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0x10, max: 0x15 }), fc.uint8Array({ maxLength: 200 })), {
        maxLength: 60,
      }),
      (messages) => {
        const b = bed()
        for (const [kind, body] of messages) {
          b.give({ type: 'message', from: hostile.nodeId, kind, body }, b.now() + 50)
        }
        const { mesh } = b
        return (
          mesh.peers.size === 2 &&
          mesh.probes.size <= 100 &&
          mesh.self.seen.size <= 16 &&
          b.member()?.sequence === 5
        )
      },
    ),
    { numRuns: 100 },
  )
  t.notOk(run.failed, `seed ${run.seed}: ${JSON.stringify(run.counterexample)}`)
  t.end()
})
