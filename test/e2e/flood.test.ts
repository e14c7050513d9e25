/**
 * Hostile datagrams at full rate from a third namespace: the tunnel between the peers goes on, the
 * stranger gets no answer, and every refusal is counted with its reason.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Namespace } from '#src/cli/demo/lab.js'
import { overlayA, overlayB, port, twoAgents } from '../bed/agent.js'
import type { Agent, Duo } from '../bed/agent.js'
import { finished, makeBed } from '../bed/bed.js'
import type { Bed, Pair } from '../bed/bed.js'
import { capture } from './capture.js'
import type { Captured } from './capture.js'
import { flood } from './programs.js'
import { unless } from './requirements.js'
import { exchange, ping, stream } from './traffic.js'

const skip = unless('tcpdump', 'cc')
const options = { skip, timeout: 200_000 }
const target = '198.51.100.1'
/** What an agent may take at full load (RSS). */
const mostMemory = 120 << 20

type Field = {
  readonly bed: Bed
  readonly pair: Pair
  readonly duo: Duo
  readonly stranger: Namespace
}

/** The tests of this file share two agents and a stranger with a link to the first. */
const field: Promise<Field> = skip === false ? prepare() : Promise.reject(new Error(skip))
field.catch(() => undefined)

async function prepare(): Promise<Field> {
  const bed = await makeBed(t)
  const pair = await bed.pair()
  const stranger = await bed.namespace('c')
  await bed.lab.veth(stranger, pair.a, {
    addressA: '198.51.100.2/24',
    addressB: `${target}/24`,
  })
  return { bed, pair, stranger, duo: await twoAgents(bed, pair) }
}

/** What the peers really send each other, short enough to have been captured whole. */
async function realDatagrams({ pair }: Field): Promise<Captured[]> {
  const watching = await capture(
    pair.a,
    pair.linkA,
    `udp and dst port ${port} and dst host 192.0.2.1`,
  )
  await ping(pair.a, overlayB, 20, 10)
  const passed = await watching.stop()
  return passed.filter(({ payload, length }) => payload.length === length)
}

function typed(type: number, length: number): Buffer {
  const datagram = randomBytes(length)
  datagram.writeUInt32LE(type, 0)
  return datagram
}

/** Every kind of datagram that a stranger can make. */
function hostile(real: readonly Captured[]): Buffer[] {
  const replayed = real.map(({ payload }) => payload)
  const forged = replayed.map((payload, index) => {
    // A receiver index that is in use, a counter far ahead, and content that is nobody's.
    const forgery = Buffer.concat([payload.subarray(0, 8), randomBytes(8), randomBytes(96)])
    forgery.writeUInt32LE(1000 + index, 8)
    forgery.writeUInt32LE(0, 12)
    return forgery
  })
  const garbage = Array.from({ length: 64 }, (_, index) => randomBytes(index * 20))
  const truncated = [1, 2, 3, 4, 5, 6].flatMap((type) =>
    [4, 8, 15, 31, 47].map((n) => typed(type, n)),
  )
  const complete = [typed(1, 148), typed(2, 92), typed(3, 64), typed(4, 1452), typed(4, 32)]
  const oversized = [typed(4, 9000), typed(1, 65_000)]
  return [...replayed, ...forged, ...garbage, ...truncated, ...complete, ...oversized]
}

/** USER_HZ is 100 on every architecture that Node runs on. */
function cpuSeconds({ process: { pid } }: Agent): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function memory({ process: { pid } }: Agent): number {
  const kilobytes = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}

const plan = { address: target, port, burstsPerSecond: 0 }

void t.test(
  'a flood of hostile datagrams gets no answer and costs bounded memory',
  options,
  async (t) => {
    const all = await field
    const { bed, stranger, duo } = all
    const datagrams = hostile(await realDatagrams(all))
    const watching = await capture(stranger, 'any', `udp and src host ${target}`)
    const before = { cpu: cpuSeconds(duo.a), since: performance.now() }
    const { stdout } = await finished(flood(bed, stranger, datagrams, { ...plan, seconds: 2 }))
    const seconds = (performance.now() - before.since) / 1000
    const cores = (cpuSeconds(duo.a) - before.cpu) / seconds
    t.comment(
      `${Math.round(Number(stdout) / seconds)} datagrams/s cost ${cores.toFixed(2)} cores, ${memory(duo.a) >> 20} MiB`,
    )
    t.same(await watching.stop(), [], 'no datagram went back')
    t.ok(memory(duo.a) < mostMemory, 'memory is bounded')
    t.ok(cores < 1.5, 'it does not take the whole machine')
  },
)

void t.test('every refusal is counted with its reason', options, async (t) => {
  const { drops } = await (await field).duo.a.client.status()
  for (const reason of ['inMalformed', 'inBadMac', 'inUnknownIndex', 'inForged']) {
    t.ok((drops[reason] ?? 0) > 0, `${reason}: ${drops[reason] ?? 0}`)
  }
  // Nobody can tell a replay from the second copy of a bonded packet, which is as it should be.
  const copies = (drops['inReplayed'] ?? 0) + (drops['inSecondCopy'] ?? 0)
  t.ok(copies > 0, `inReplayed and inSecondCopy: ${copies}`)
})

void t.test('after a flood the tunnel works as before', options, async (t) => {
  const { pair } = await field
  t.match(await ping(pair.a, overlayB, 20, 10), { sent: 20, received: 20 })
})

void t.test('TCP goes on unharmed during a flood at full rate', options, async (t) => {
  const all = await field
  const { bed, pair, stranger } = all
  const datagrams = hostile(await realDatagrams(all))
  const flooding = flood(bed, stranger, datagrams, { ...plan, seconds: 30 })
  for (const [from, to, address] of [
    [pair.a, pair.b, overlayB],
    [pair.b, pair.a, overlayA],
  ] as const) {
    const { sent, received } = await stream(from, to, address, 16 << 20)
    t.equal(received.sha256, sent.sha256, `every byte reached ${address} unchanged`)
    t.comment(`${((16 << 23) / received.ms / 1000).toFixed(0)} Mbit/s to ${address}`)
  }
  await flooding.stop()
})

void t.test('a flood that the machine can read costs no valid packet', options, async (t) => {
  const all = await field
  const { bed, pair, stranger, duo } = all
  const datagrams = hostile(await realDatagrams(all))
  const before = await duo.a.client.status()
  // 25 000 a second: far more than a stranger's uplink sends, and less than two cores read.
  const flooding = flood(bed, stranger, datagrams, { ...plan, burstsPerSecond: 50, seconds: 30 })
  const load = { packetsPerSecond: 500, size: 200, seconds: 4 }
  const reports = await exchange(
    { namespace: pair.a, address: overlayA },
    { namespace: pair.b, address: overlayB },
    load,
  )
  await flooding.stop()
  for (const report of reports) t.match(report, { received: 2000, expected: 2000, missing: [] })
  const kernelDrops = ({ udp }: typeof before): number =>
    udp.reduce((sum, socket) => sum + socket.kernelDrops, 0)
  t.equal(kernelDrops(await duo.a.client.status()), kernelDrops(before), 'the socket held all')
})
