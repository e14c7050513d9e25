import { createPrivateKey, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { projectRoot } from '#src/cli/demo/project.js'
import {
  encodeAck,
  encodeDigest,
  encodePing,
  encodePingRequest,
  encodeSuspicion,
  encodeUpdate,
  prefixOf,
} from '#src/wire/messages.js'
import { encodeRecord, encodeSignedRecord, recordDomain } from '#src/wire/record.js'
import { isSignedBy, signedMessage } from '#src/wire/signature.js'

const initiator = 'rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa'
const responder = 'qe4xodvipulv6vvdkrtmgtd6ztfy3curwtxdpis56yhvxd6jwoka'

const body = encodeRecord({
  nodeId: initiator,
  sequence: 300,
  phase: 'joined',
  anchor: true,
  endpoints: ['203.0.113.7:51820', '[2001:db8::7]:51820', '192.168.1.2:51820'],
  metadata: { version: '1' },
})
const seed = Buffer.alloc(32, 1)
const key = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
  format: 'der',
  type: 'pkcs8',
})
const signature = sign(null, signedMessage(recordDomain, body), key)

const vectors = {
  record: body,
  signature,
  update: encodeUpdate({ records: [encodeSignedRecord(body, signature)] }),
  suspicion: encodeUpdate({
    suspicions: [encodeSuspicion({ subject: responder, sequence: 7, accuser: initiator })],
  }),
  digest: encodeDigest({
    covered: [129],
    entries: [{ prefix: prefixOf(responder), sequence: 7, gone: true }],
  }),
  ping: encodePing({ token: 5, suspected: 300 }),
  ping_request: encodePingRequest({ token: 6, target: responder }),
  ack: encodeAck({ token: 6, unreached: true }),
}

t.test('the vectors of the protocol are what the code writes', (t) => {
  const protocol = readFileSync(join(projectRoot(), 'docs/PROTOCOL.md'), 'utf8')
  const block = /```mesh-vectors\n([^`]*)```/.exec(protocol)?.[1] ?? ''
  const lines = Object.entries(vectors).map(
    ([name, bytes]) => `mesh.${name} = ${Buffer.from(bytes).toString('hex')}\n`,
  )
  t.equal(block, lines.join(''))
  t.end()
})

t.test('the signature of the vectors is the initiator’s and nobody else’s', (t) => {
  t.ok(isSignedBy(initiator, recordDomain, body, signature))
  t.notOk(isSignedBy(responder, recordDomain, body, signature))
  t.notOk(isSignedBy(initiator, 'whalescale test v1', body, signature))
  t.end()
})
