/** What a mesh is built from, between two agents of the real addon in namespaces of their own. */
import { createPublicKey, verify } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { LabProcess, Namespace } from '#src/cli/demo/lab.js'
import { messageBodyMax } from '#src/native.js'
import type { Command, NativeEvent } from '#src/native.js'
import { makeNode, port } from '../bed/agent.js'
import type { NodeFiles } from '../bed/agent.js'
import { addressA, addressB, makeBed, until } from '../bed/bed.js'
import type { Bed } from '../bed/bed.js'
import { unless } from './requirements.js'

const options = { skip: unless(), timeout: 200_000 }
const program = fileURLToPath(new URL('programs/boundary.js', import.meta.url))

type InHex<Value> = { [Key in keyof Value]: Value[Key] extends Uint8Array ? string : Value[Key] }
type Line = InHex<NativeEvent> | { readonly type: 'Refused'; readonly message: string }
type Of<Type extends Line['type']> = Extract<Line, { type: Type }>

/** An agent: its files, and a way to command it and to wait for what it says. */
type Bare = NodeFiles & {
  readonly process: LabProcess
  apply(...commands: InHex<Command>[]): void
  heard<Type extends Line['type']>(
    type: Type,
    fits?: (line: Of<Type>) => boolean,
  ): Promise<Of<Type>>
}

async function bare(bed: Bed, namespace: Namespace, name: string): Promise<Bare> {
  const node = await makeNode(bed, namespace, name)
  const running = namespace.spawn(process.execPath, [program, node.keyFile], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const lines = (): Line[] =>
    running
      .output()
      .stdout.split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line)
  return {
    ...node,
    process: running,
    apply: (...commands) => running.child.stdin?.write(`${JSON.stringify(commands)}\n`),
    heard: (type, fits = () => true) =>
      until(`${name} hears ${type}: ${running.output().stderr}`, () =>
        lines().find((line): line is Of<typeof type> => line.type === type && fits(line as never)),
      ),
  }
}

const sockets: InHex<Command> = {
  type: 'Sockets',
  port,
  interfaces: ['auto'],
  exclude: [],
  metered: [],
}

function peer({ name, identity }: NodeFiles, endpoints: string[]): InHex<Command> {
  const { nodeId, wireguardPublicKey } = identity
  return { type: 'Peer', id: name, nodeId, wireguardPublicKey, endpoints, allowedIps: [] }
}

/** Two agents that know each other's keys, of which `a` knows where `b` is. */
async function duo(bed: Bed): Promise<{ a: Bare; b: Bare; link: string }> {
  const namespaces = await bed.pair()
  const [a, b] = await Promise.all([bare(bed, namespaces.a, 'a'), bare(bed, namespaces.b, 'b')])
  a.apply(sockets, peer(b, [`${addressB}:${port}`]))
  b.apply(sockets, peer(a, []))
  await Promise.all([a.heard('Network'), b.heard('Network')])
  return { a, b, link: namespaces.linkA }
}

/** The raw key in a node id: base32 without padding (PROTOCOL, section 1.1). */
function rawKey(nodeId: string): Buffer {
  const bits = Array.from(nodeId)
    .map((character) => 'abcdefghijklmnopqrstuvwxyz234567'.indexOf(character))
    .map((value) => value.toString(2).padStart(5, '0'))
    .join('')
  return Buffer.from(
    Array.from({ length: 32 }, (_, n) => parseInt(bits.slice(8 * n, 8 * n + 8), 2)),
  )
}

void t.test('messages open a session and go both ways as they are', options, async (t) => {
  const { a, b } = await duo(await makeBed(t))
  a.apply({ type: 'Message', id: 'b', kind: 0x10, body: '000102' })
  const first = await b.heard('Message')
  t.same(first, {
    type: 'Message',
    id: 'a',
    kind: 0x10,
    body: '000102',
    remote: `${addressA}:${port}`,
  })
  const body = 'a5'.repeat(messageBodyMax)
  b.apply({ type: 'Message', id: 'a', kind: 0x3f, body })
  const answer = await a.heard('Message')
  t.same([answer.id, answer.kind, answer.body], ['b', 0x3f, body])
})

void t.test('a message that is too long is refused, and the agent goes on', options, async (t) => {
  const { a, b } = await duo(await makeBed(t))
  a.apply({ type: 'Message', id: 'b', kind: 0x10, body: '00'.repeat(messageBodyMax + 1) })
  t.match((await a.heard('Refused')).message, /at most 1120 bytes/)
  a.apply({ type: 'Message', id: 'b', kind: 0x10, body: '' })
  t.equal((await b.heard('Message')).body, '')
})

void t.test("a signature is one by the node's key under its domain", options, async (t) => {
  const { a } = await duo(await makeBed(t))
  const [domain, body] = ['whalescale record v1', Buffer.from('a record')]
  a.apply({ type: 'Sign', token: 7, domain, body: body.toString('hex') })
  const { signature } = await a.heard('Signed', ({ token }) => token === 7)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(domain.length))
  const key = createPublicKey({
    format: 'jwk',
    key: { kty: 'OKP', crv: 'Ed25519', x: rawKey(a.identity.nodeId).toString('base64url') },
  })
  const signed = Buffer.concat([length, Buffer.from(domain), body])
  t.ok(verify(null, signed, key, Buffer.from(signature, 'hex')))
})

void t.test('a node that changes its address says so, and hears it', options, async (t) => {
  const { a, b, link } = await duo(await makeBed(t))
  const here = { interface: link, address: `${addressA}:${port}` }
  t.same((await a.heard('Network', ({ sockets }) => sockets.length > 0)).sockets, [here])
  a.apply({ type: 'Connect', id: 'b' })
  t.same(await a.heard('Observed'), { type: 'Observed', id: 'b', ...here })
  await b.heard('Peer', ({ state }) => state === 'connected')
  await a.namespace.exec('ip', ['address', 'del', `${addressA}/24`, 'dev', link])
  await a.namespace.exec('ip', ['address', 'add', '192.0.2.9/24', 'dev', link])
  const there = { interface: link, address: `192.0.2.9:${port}` }
  await a.heard(
    'Network',
    ({ sockets }) => sockets.length === 1 && sockets[0]?.address === there.address,
  )
  await a.heard('Observed', ({ address }) => address === there.address)
  const moved = await b.heard('Peer', ({ endpoint }) => endpoint === there.address)
  t.equal(moved.state, 'connected')
})
