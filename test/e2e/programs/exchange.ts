/**
 * One end of an exchange of numbered UDP datagrams. It sends from the moment that it hears the other
 * end until its time is over, so that nothing is sent before both are there, then waits for what is
 * still under way and prints what it sent and what it received.
 *
 *     exchange OWN OTHER PACKETS_PER_SECOND SIZE SECONDS
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

export type ExchangeReport = {
  readonly sent: number
  readonly received: number
  /** The other end's count, from its farewell. */
  readonly expected: number
  readonly duplicates: number
  readonly reordered: number
  /** The first numbers that never came. */
  readonly missing: readonly number[]
}

const [own = '', other = '', rate = '0', size = '0', seconds = '0'] = process.argv.slice(2)
const port = 7001
/** A first number for datagrams that are none of the counted. */
const hello = 0xffff_ffff
const farewell = 0xffff_fffe
const tickMs = 10

const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
const seen = new Set<number>()
const state = { heard: false, expected: -1, duplicates: 0, reordered: 0, highest: -1 }

socket.on('message', (message) => {
  const number = message.readUInt32BE(0)
  state.heard = true
  if (number === hello) return
  if (number === farewell) {
    state.expected = message.readUInt32BE(4)
    return
  }
  if (seen.has(number)) state.duplicates += 1
  seen.add(number)
  if (number < state.highest) state.reordered += 1
  state.highest = Math.max(state.highest, number)
})

const datagram = Buffer.alloc(Number(size))
function send(number: number, count = 0): void {
  const copy = Buffer.from(datagram)
  copy.writeUInt32BE(number, 0)
  copy.writeUInt32BE(count, 4)
  socket.send(copy, port, other)
}

socket.bind(port, own)
await once(socket, 'listening')
for (let tries = 0; !state.heard && tries < 1000; tries += 1) {
  send(hello)
  await delay(tickMs)
}
send(hello)

const since = performance.now()
const total = Number(rate) * Number(seconds)
let sent = 0
while (sent < total) {
  const due = Math.min(total, Math.floor(((performance.now() - since) * Number(rate)) / 1000))
  for (; sent < due; sent += 1) send(sent)
  await delay(tickMs)
}
for (let tries = 0; tries < 100 && (tries < 20 || state.expected < 0); tries += 1) {
  send(farewell, sent)
  await delay(50)
}
socket.close()

const missing: number[] = []
for (let number = 0; number < state.expected && missing.length < 20; number += 1) {
  if (!seen.has(number)) missing.push(number)
}
const { expected, duplicates, reordered } = state
const report: ExchangeReport = {
  sent,
  received: seen.size,
  expected,
  duplicates,
  reordered,
  missing,
}
console.log(JSON.stringify(report))
