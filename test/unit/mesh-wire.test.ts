import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import t from 'tap'
import { projectRoot } from '#src/cli/demo/project.js'
import { identityOf } from '../../bench/gossip/identity.js'
import { decodeNodeId } from '#src/config/identity.js'
import { canonicalEndpoint } from '#src/wire/address.js'
import {
  Kind,
  bucketCount,
  decodeMessage,
  encodeAck,
  encodeDigest,
  encodeObservation,
  encodePing,
  encodePingRequest,
  encodeSuspicion,
  encodeUpdate,
  longestBody,
  mostEntries,
  prefixOf,
} from '#src/wire/messages.js'
import {
  decodeRecord,
  encodeRecord,
  encodeSignedRecord,
  problemOfMetadata,
  recordDomain,
} from '#src/wire/record.js'
import type { NodeRecord } from '#src/wire/record.js'

/** The naive twin: a general implementation that reads the schema itself. */
const schema = protobuf.parse(readFileSync(join(projectRoot(), 'src/wire/mesh.proto'), 'utf8')).root
const typeOf = (name: string): protobuf.Type => schema.lookupType(`whalescale.mesh.v1.${name}`)
const plain = { longs: Number, defaults: true, arrays: true, bytes: String } as const

const names = ['first', 'second', 'third'].map((name) => identityOf(name))
const [first, second, third] = names.map(({ nodeId }) => nodeId) as [string, string, string]

const endpoints = fc
  .tuple(
    fc.oneof(
      fc.tuple(fc.integer({ min: 1, max: 126 }), fc.ipV4()).map(([a, ip]) => {
        return `${a}.${ip.split('.').slice(1).join('.')}`
      }),
      fc.ipV6().map((ip) => `[2001:db8:${ip.split(':')[0] ?? ''}::7]`.replace(':::', '::')),
    ),
    fc.integer({ min: 1, max: 65_535 }),
  )
  .map(([host, port]) => canonicalEndpoint(`${host}:${port}`))
  .filter((text) => text !== undefined)

const records: fc.Arbitrary<NodeRecord> = fc.record(
  {
    nodeId: fc.constantFrom(first, second, third),
    sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    phase: fc.constantFrom('joining', 'joined', 'leaving', 'left'),
    anchor: fc.boolean(),
    endpoints: fc.array(endpoints, { maxLength: 8 }),
    metadata: fc
      .dictionary(fc.string({ minLength: 1, maxLength: 8 }), fc.string({ maxLength: 10 }), {
        maxKeys: 8,
        noNullPrototype: true,
      })
      .filter((metadata) => problemOfMetadata(metadata) === undefined),
  },
  { noNullPrototype: true },
)

/** One of each message, with all of its fields. */
const corpus: readonly (readonly [number, Uint8Array])[] = [
  [
    Kind.update,
    encodeUpdate({
      records: [signed({ ...blank(first), endpoints: ['198.51.100.7:51820', '10.1.2.3:1'] })],
      suspicions: [encodeSuspicion({ subject: first, sequence: 9, accuser: second })],
      observations: [
        encodeObservation({ subject: third, endpoint: '[2001:db8::7]:51820' }) ?? new Uint8Array(),
      ],
      answer: true,
    }),
  ],
  [
    Kind.digest,
    encodeDigest({ covered: [0, 9, 255], entries: [entry(first, 7), entry(second, 1)] }),
  ],
  [Kind.digest, encodeDigest({ buckets: new Uint32Array(bucketCount).fill(0xdead_beef) })],
  [Kind.digest, encodeDigest({ wanted: [prefixOf(first), prefixOf(third)], answer: true })],
  [Kind.ping, encodePing({ token: 0xffff_ffff, suspected: 2 ** 53 - 1 })],
  [Kind.pingRequest, encodePingRequest({ token: 7, target: second })],
  [Kind.ack, encodeAck({ token: 300, unreached: true })],
]

function blank(nodeId: string): NodeRecord {
  return { nodeId, sequence: 1, phase: 'joined', anchor: false, endpoints: [], metadata: {} }
}

function signed(record: NodeRecord): Uint8Array {
  const body = encodeRecord(record)
  const owner = names.find(({ nodeId }) => nodeId === record.nodeId)
  return encodeSignedRecord(body, owner?.sign(recordDomain, body) ?? new Uint8Array(64))
}

function entry(nodeId: string, sequence: number) {
  return { prefix: prefixOf(nodeId), sequence, gone: sequence === 1 }
}

t.test('a record is read as it was written', (t) => {
  fc.assert(
    fc.property(records, (record) => {
      const decoded = decodeRecord(signed(record))
      if (typeof decoded === 'string') return false
      const { body, signature, ...rest } = decoded
      t.equal(signature.length, 64)
      t.ok(body.length > 0)
      t.strictSame(rest, record)
      return true
    }),
  )
  t.end()
})

t.test('a general implementation reads the same record from the schema', (t) => {
  const type = typeOf('Record')
  fc.assert(
    fc.property(records, (record) => {
      const seen = type.toObject(type.decode(encodeRecord(record)), { ...plain, enums: String })
      t.equal(seen['nodeId'], Buffer.from(decodeNodeId(record.nodeId) ?? []).toString('base64'))
      t.equal(seen['sequence'], record.sequence)
      t.equal(seen['phase'], `PHASE_${record.phase.toUpperCase()}`)
      t.equal(seen['anchor'], record.anchor)
      t.equal((seen['endpoints'] as unknown[]).length, record.endpoints.length)
      const metadata = seen['metadata'] as { key: string; value: string }[]
      t.strictSame(
        Object.fromEntries(metadata.map(({ key, value }) => [key, value])),
        record.metadata,
      )
    }),
    { numRuns: 50 },
  )
  t.end()
})

t.test('what a general implementation writes again is read the same', (t) => {
  const types = {
    [Kind.update]: 'GossipUpdate',
    [Kind.digest]: 'Digest',
    [Kind.ping]: 'Ping',
    [Kind.pingRequest]: 'PingRequest',
    [Kind.ack]: 'Ack',
  }
  for (const [kind, body] of corpus) {
    const name = types[kind as keyof typeof types]
    const type = typeOf(name)
    const again = Uint8Array.from(type.encode(type.decode(body)).finish())
    t.not(typeof decodeMessage(kind, body), 'string', name)
    t.strictSame(decodeMessage(kind, again), decodeMessage(kind, body), name)
  }
  t.end()
})

t.test('any bytes give a message or a reason', (t) => {
  const kinds = fc.integer({ min: 0x10, max: 0x1f })
  const run = fc.check(
    fc.property(kinds, fc.uint8Array({ maxLength: 1300 }), (kind, body) => {
      const message = decodeMessage(kind, body)
      return typeof message !== 'string' || ['kind', 'oversized', 'malformed'].includes(message)
    }),
    { numRuns: 3000 },
  )
  t.notOk(run.failed, `seed ${run.seed}: ${JSON.stringify(run.counterexample)}`)
  t.end()
})

t.test(
  'any change to a message gives a message or a reason, and any change to a record too',
  (t) => {
    const changes = fc.array(
      fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom('set', 'cut', 'insert')),
      { minLength: 1, maxLength: 6 },
    )
    const run = fc.check(
      fc.property(fc.constantFrom(...corpus), changes, ([kind, body], edits) => {
        const bytes = [...body]
        for (const [where, value, how] of edits) {
          const at = where % (bytes.length + 1)
          if (how === 'set') bytes[at] = value
          else if (how === 'cut') bytes.splice(at)
          else bytes.splice(at, 0, value)
        }
        const message = decodeMessage(kind, Uint8Array.from(bytes))
        if (typeof message === 'string' || message.type !== 'update') return true
        for (const record of message.records) decodeRecord(record)
        return true
      }),
      { numRuns: 5000 },
    )
    t.notOk(run.failed, `seed ${run.seed}: ${JSON.stringify(run.counterexample)}`)
    t.end()
  },
)

t.test('every prefix of a message ends without a throw', (t) => {
  for (const [kind, body] of corpus) {
    for (let length = 0; length < body.length; length += 1) {
      t.doesNotThrow(() => decodeMessage(kind, body.subarray(0, length)))
    }
  }
  t.end()
})

t.test('fields of later versions are passed over, groups are not', (t) => {
  const body = Buffer.from(encodeAck({ token: 5, unreached: false }))
  const later = Buffer.concat([body, Buffer.from('7801', 'hex'), Buffer.from('7a03616263', 'hex')])
  t.strictSame(decodeMessage(Kind.ack, later), { type: 'ack', token: 5, unreached: false })
  t.equal(decodeMessage(Kind.ack, Buffer.concat([body, Buffer.from('0b0c', 'hex')])), 'malformed')
  t.end()
})

t.test('a number beyond 2^53 - 1 is malformed', (t) => {
  const most = Buffer.from('10ffffffffffffff0f', 'hex')
  t.match(decodeMessage(Kind.ping, most), { suspected: Number.MAX_SAFE_INTEGER })
  for (const hex of ['10ffffffffffffff1f', '108080808080808080808001', '10ffffffffffffffffff01']) {
    t.equal(decodeMessage(Kind.ping, Buffer.from(hex, 'hex')), 'malformed', hex)
  }
  t.end()
})

t.test('a record with an address that no peer may use is refused for that', (t) => {
  for (const address of ['7f000001', '00000000', 'e0000001', 'ffffffff']) {
    const type = typeOf('Record')
    const body = type
      .encode({
        nodeId: decodeNodeId(first),
        sequence: 1,
        phase: 2,
        endpoints: [{ address: Buffer.from(address, 'hex'), port: 1, type: 1 }],
      })
      .finish()
    t.equal(decodeRecord(encodeSignedRecord(body, new Uint8Array(64))), 'address', address)
  }
  t.end()
})

t.test('the fullest digest and the fullest record fit their limits', (t) => {
  const entries = Array.from({ length: mostEntries }, () => ({
    prefix: prefixOf(first),
    sequence: Number.MAX_SAFE_INTEGER,
    gone: true,
  }))
  const covered = Array.from({ length: bucketCount }, (_, i) => i)
  t.ok(encodeDigest({ covered, entries, answer: true }).length <= longestBody)
  const full: NodeRecord = {
    ...blank(first),
    sequence: Number.MAX_SAFE_INTEGER,
    anchor: true,
    endpoints: Array.from({ length: 8 }, (_, i) => `[2001:db8:1:2:3:4:5:${i + 1}]:65535`),
    metadata: Object.fromEntries(
      Array.from({ length: 8 }, (_, i) => [`${i}`.repeat(16), 'v'.repeat(16)]),
    ),
  }
  t.not(typeof decodeRecord(signed(full)), 'string')
  t.end()
})
