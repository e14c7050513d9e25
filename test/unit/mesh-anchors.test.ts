import t from 'tap'
import { identityOf } from '../../bench/gossip/identity.js'
import { createMesh, nextWakeup, recordReader, step } from '#src/node/mesh.js'
import type { Effect, Input } from '#src/node/mesh.js'
import {
  Kind,
  decodeMessage,
  encodeAck,
  encodeObservation,
  encodeUpdate,
} from '#src/wire/messages.js'
import { encodeRecord, encodeSignedRecord, recordDomain } from '#src/wire/record.js'
import { isSignedBy } from '#src/wire/signature.js'

const self = identityOf('self')
const others = Array.from({ length: 20 }, (_, index) => identityOf(`other ${index}`))
const [first, second, third] = others as [Other, Other, Other]
type Other = (typeof others)[number]

const endpointOf = (other: Other): string => `${40 + others.indexOf(other)}.1.2.3:51820`

type Setting = { readonly anchors: readonly Other[]; readonly ordinary?: readonly Other[] }

/**
 * A machine that is told of itself and wakes when it wants to. Its records are signed at once, and who has a
 * session answers.
 */
function bed({ anchors, ordinary = [] }: Setting, isAnchor = false) {
  const mesh = createMesh({ nodeId: self.nodeId, seed: 7, reader: recordReader(isSignedBy) })
  const effects: (readonly [number, Effect])[] = []
  let now = 0
  const give = (input: Input): void => {
    for (const effect of step(mesh, input, now)) {
      effects.push([now, effect])
      if (effect.type === 'sign') {
        const signature = self.sign(effect.domain, effect.body)
        give({ type: 'signed', token: effect.token, signature })
      } else if (effect.type === 'send' && effect.kind === Kind.ping) {
        if (mesh.peers.get(effect.to)?.session !== true) continue
        const ping = decodeMessage(effect.kind, effect.body)
        if (typeof ping === 'string' || ping.type !== 'ping') continue
        const body = encodeAck({ token: ping.token, unreached: false })
        give({ type: 'message', from: effect.to, kind: Kind.ack, body })
      }
    }
  }
  const runTo = (time: number): void => {
    for (let at = nextWakeup(mesh); at <= time; at = nextWakeup(mesh)) {
      now = Math.max(at, now)
      give({ type: 'tick' })
    }
    now = time
  }
  const peers = [...anchors, ...ordinary].map((other) => {
    const endpoints = [endpointOf(other)]
    return { nodeId: other.nodeId, anchor: anchors.includes(other), endpoints }
  })
  give({ type: 'start', sequence: 0, records: [], cached: [] })
  give({ type: 'peers', peers })
  const metadata = {}
  give({ type: 'self', endpoints: ['192.0.2.1:51820'], anchor: isAnchor, metadata })
  const up = (other: Other): void => {
    give({ type: 'session', peer: other.nodeId, state: 'up', endpoint: endpointOf(other) })
  }
  const from = (other: Other, body: Uint8Array): void => {
    give({ type: 'message', from: other.nodeId, kind: Kind.update, body })
  }
  const leaves = (other: Other): void => {
    const { nodeId } = other
    const says = { phase: 'left', anchor: true, endpoints: [], metadata: {} } as const
    const body = encodeRecord({ nodeId, sequence: 9, ...says })
    const record = encodeSignedRecord(body, other.sign(recordDomain, body))
    from(other, encodeUpdate({ records: [record] }))
    runTo(now + 1)
  }
  const warnings = (): string[] =>
    effects.flatMap(([, effect]) => (effect.type === 'warn' ? [effect.code] : []))
  return { mesh, effects, give, runTo, up, from, leaves, warnings, now: () => now }
}

t.test('two anchors on two networks are no warning, one left is, and none left is another', (t) => {
  const b = bed({ anchors: [first, second], ordinary: [third] })
  for (const other of [first, second, third]) b.up(other)
  b.runTo(10_001)
  t.strictSame(b.warnings(), [])
  b.leaves(second)
  t.strictSame(b.warnings(), ['OneAnchor'])
  b.leaves(first)
  t.strictSame(b.warnings(), ['OneAnchor', 'NoAnchor'])
  t.end()
})

t.test('a warning is told once, and again when it has become true again', (t) => {
  const b = bed({ anchors: [first, second] })
  b.up(first)
  b.runTo(10_001)
  b.up(first)
  b.runTo(b.now() + 1)
  t.strictSame(b.warnings(), ['OneAnchor'])
  b.up(second)
  b.runTo(b.now() + 1)
  b.leaves(second)
  t.strictSame(b.warnings(), ['OneAnchor', 'OneAnchor'])
  t.end()
})

t.test('a node that is the only anchor left hears of that', (t) => {
  const b = bed({ anchors: [first] }, true)
  b.up(first)
  b.runTo(10_001)
  b.leaves(first)
  t.strictSame(b.warnings(), ['OnlyAnchor'])
  t.end()
})

t.test(
  'an anchor is sought after 1 s doubling to 60 s, and at once when the network changes',
  (t) => {
    const b = bed({ anchors: [first] })
    b.runTo(600_000)
    const tries = (since: number): number[] =>
      b.effects.flatMap(([at, { type }]) => (type === 'connect' && at >= since ? [at - since] : []))
    const spans = (times: readonly number[]): number[] =>
      times.slice(1).map((at, i) => at - (times[i] ?? 0))
    const expected = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    const isNear = (span: number, i: number): boolean =>
      Math.abs(span / 1_000 / (expected[i] ?? 60) - 1) <= 0.26
    t.equal(tries(0)[0], 0)
    t.ok(spans(tries(0)).length >= expected.length)
    t.ok(spans(tries(0)).every(isNear), spans(tries(0)).join(' '))
    b.give({ type: 'network' })
    b.runTo(b.now() + 60_000)
    t.equal(tries(600_000)[0], 0)
    t.ok(spans(tries(600_000)).length >= 4)
    t.ok(spans(tries(600_000)).every(isNear), spans(tries(600_000)).join(' '))
    t.end()
  },
)

t.test('our address as others see it counts when an anchor or two peers say so, for 600 s', (t) => {
  const b = bed({ anchors: [first], ordinary: [second, third] })
  const said = (): readonly string[] => b.mesh.self.record?.endpoints ?? []
  const seen = '203.0.113.7:4000'
  b.give({ type: 'observed', by: second.nodeId, endpoint: seen })
  t.strictSame(said(), ['192.0.2.1:51820'], 'one ordinary peer is not believed')
  b.give({ type: 'observed', by: third.nodeId, endpoint: seen })
  t.strictSame(said(), [seen, '192.0.2.1:51820'])
  const other = '203.0.113.8:4000'
  b.give({ type: 'observed', by: first.nodeId, endpoint: other })
  t.ok(said().includes(other), 'an anchor is')
  b.runTo(590_000)
  t.equal(said().length, 3)
  b.runTo(640_000)
  t.strictSame(said(), ['192.0.2.1:51820'])
  t.end()
})

t.test('what twenty peers say of our address is bounded, and forgotten on another network', (t) => {
  const b = bed({ anchors: [], ordinary: others })
  for (const [index, { nodeId }] of others.entries()) {
    b.give({ type: 'observed', by: nodeId, endpoint: `203.0.113.${index >> 1}:4000` })
  }
  t.equal(b.mesh.self.seen.size, 16)
  t.equal(b.mesh.self.record?.endpoints.length, 3, 'two of them beside our own')
  b.give({ type: 'network' })
  t.equal(b.mesh.self.seen.size, 0)
  t.end()
})

t.test('of what is reported of a peer three addresses are tried, after its own, for 600 s', (t) => {
  const b = bed({ anchors: [], ordinary: others })
  const reporters = others.slice(1, 6)
  for (const [index, reporter] of reporters.entries()) {
    const part = encodeObservation({
      subject: first.nodeId,
      endpoint: `203.0.113.${index + 1}:4000`,
    })
    b.from(reporter, encodeUpdate({ observations: part ? [part] : [] }))
  }
  const sources = (): string[] =>
    b.mesh.peers.get(first.nodeId)?.candidates.map(({ source }) => source) ?? []
  t.strictSame(sources(), ['observed', 'observed', 'observed', 'configured'])
  b.runTo(640_000)
  t.strictSame(sources(), ['configured'])
  t.end()
})
