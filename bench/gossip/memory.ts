/** What a known peer costs one node: a single machine that holds records which it decoded itself. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { createMesh, recordReader, step } from '#src/node/mesh.js'
import type { Input, Mesh } from '#src/node/mesh.js'
import { Kind, encodeUpdate } from '#src/wire/messages.js'
import { encodeRecord, encodeSignedRecord } from '#src/wire/record.js'
import { identityOf } from './identity.js'

setFlagsFromString('--expose-gc')
/** A context made after the flag has the collector. */
const collect = runInNewContext('gc') as () => void

function used(): number {
  // Buffers are given back by the collection after the one that finds them unused.
  for (let times = 0; times < 3; times += 1) collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Of a node with two networks, four addresses and a name. */
function updateOf(nodeId: string, index: number): Uint8Array {
  const [high, low] = [index >> 8, index & 255]
  const body = encodeRecord({
    nodeId,
    sequence: index + 1,
    phase: 'joined',
    anchor: false,
    endpoints: [
      `198.51.${high}.${low}:51820`,
      `192.168.${high}.${low}:51820`,
      `[2001:db8::${index + 1}]:51820`,
      `[fd00::${index + 1}]:51820`,
    ],
    metadata: { name: `node-${index}`, room: `${index}` },
  })
  return encodeUpdate({ records: [encodeSignedRecord(body, new Uint8Array(64))], answer: true })
}

/** A session with each, a message from each, and its record, as a node that joins gets them. */
function acquaint(mesh: Mesh, peers: readonly string[]): void {
  const give = (input: Input, now: number): unknown => step(mesh, input, now)
  give({ type: 'start', sequence: 0, records: [], cached: [] }, 0)
  const configured = peers.map((nodeId) => ({ nodeId, anchor: false, endpoints: [] }))
  give({ type: 'peers', peers: configured }, 0)
  for (const [index, from] of peers.entries()) {
    const endpoint = `198.51.${index >> 8}.${index & 255}:51820`
    give({ type: 'session', peer: from, state: 'up', endpoint }, 0)
  }
  // The first is the one that was asked: its answer ends the joining.
  for (const [index, from] of [...peers.entries()].reverse()) {
    give({ type: 'message', from, kind: Kind.update, body: updateOf(from, index) }, 0)
  }
}

/** Bytes of heap and of buffers for each peer, whose sessions are all open and whose records were taken in. */
export function bytesPerKnownPeer(count: number): number {
  const peers = Array.from({ length: count }, (_, index) => identityOf(`known ${index}`).nodeId)
  const { nodeId } = identityOf('knowing')
  const build = (): Mesh => {
    const mesh = createMesh({ nodeId, seed: 7, reader: recordReader(() => true) })
    acquaint(mesh, peers)
    return mesh
  }
  const measure = (): number => {
    const before = used()
    const mesh = build()
    const bytes = (used() - before) / count
    const held = [...mesh.peers.values()].filter(({ record }) => record !== null).length
    if (held < count) throw new Error(`${held} of ${count} records are held`)
    return bytes
  }
  // Compiles what the others use, which is no memory of a peer.
  measure()
  const [, median = Infinity] = [measure(), measure(), measure()].sort((one, other) => one - other)
  return median
}
