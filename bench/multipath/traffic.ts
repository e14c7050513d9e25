/**
 * A process of its own inside a namespace, which sends or receives one kind of traffic.
 *
 *     sink PORT, source ADDRESS PORT SECONDS                     one bulk TCP flow
 *     udp-sink PORT, udp-source ADDRESS PORT SECONDS MBIT        datagrams at a constant rate
 *     echo PORT, rpc ADDRESS PORT SECONDS                        1 KB there, 1 KB back, on one TCP connection
 *
 * Sinks and echo run until SIGTERM; all print one line of JSON when they end (the `Report` of flows.ts), and `ready`
 * before that when they can be sent to. Times are milliseconds of the machine's monotonic clock, which all
 * namespaces share. The congestion control is the namespace's.
 */
import { createSocket } from 'node:dgram'
import { connect, createServer, type Socket } from 'node:net'
import { now } from './clock.js'
import type { Arrivals, RpcReport, UdpReport } from './flows.js'

const BIN_MS = 10
/** Shorter pauses are the scheduler's, not the network's. */
const SHORTEST_GAP_MS = 10
const CHUNK = Buffer.alloc(64 * 1024)
/** Fits every tunnel's inner MTU. */
const DATAGRAM_BYTES = 1200
const MESSAGE_BYTES = 1024
const RPC_INTERVAL_MS = 20

function print(report: object): void {
  process.stdout.write(`${JSON.stringify(report)}\n`)
}

function ready(): void {
  process.stdout.write('ready\n')
}

/** Bytes by time, and the pauses between them. */
class ArrivalLog {
  #start = 0
  #last = 0
  readonly #bins: number[] = []
  readonly #gaps: [at: number, length: number][] = []

  add(bytes: number): void {
    const at = now()
    if (this.#start === 0) this.#start = at
    else if (at - this.#last > SHORTEST_GAP_MS) this.#gaps.push([this.#last, at - this.#last])
    this.#last = at
    const bin = Math.floor((at - this.#start) / BIN_MS)
    while (this.#bins.length <= bin) this.#bins.push(0)
    this.#bins[bin] = (this.#bins[bin] ?? 0) + bytes
  }

  report(): Arrivals {
    const end = now()
    if (this.#start !== 0) this.#gaps.push([this.#last, end - this.#last])
    return { start: this.#start, end, binMs: BIN_MS, bins: this.#bins, gaps: this.#gaps }
  }
}

function sink(port: number): void {
  const log = new ArrivalLog()
  const server = createServer((socket) => {
    socket.on('data', (chunk) => {
      log.add(chunk.length)
    })
    // A cut path or the end of the sender: what arrived has been noted.
    socket.on('error', () => undefined)
  })
  server.listen(port, '0.0.0.0', ready)
  process.on('SIGTERM', () => {
    print(log.report())
    process.exit()
  })
}

function source(address: string, port: number, seconds: number): void {
  const socket = connect(port, address)
  const write = (): void => {
    while (socket.write(CHUNK));
  }
  socket.on('drain', write)
  socket.on('connect', () => {
    print({ start: now() })
    write()
    setTimeout(() => {
      socket.resetAndDestroy()
    }, seconds * 1000)
  })
}

function udpSink(port: number): void {
  const log = new ArrivalLog()
  const seen = new Set<number>()
  const delays: number[] = []
  let duplicates = 0
  let late = 0
  let highest = -1
  const socket = createSocket('udp4')
  socket.on('message', (message) => {
    const sequence = message.readUInt32BE(0)
    if (seen.has(sequence)) {
      duplicates += 1
      return
    }
    seen.add(sequence)
    if (sequence < highest) late += 1
    highest = Math.max(highest, sequence)
    delays.push(now() - message.readDoubleBE(4))
    log.add(message.length)
  })
  socket.bind(port, '0.0.0.0', () => {
    // The kernel gives what net.core.rmem_max allows.
    socket.setRecvBufferSize(4 * 1024 * 1024)
    ready()
  })
  process.on('SIGTERM', () => {
    delays.sort((a, b) => a - b)
    const at = (rank: number): number | null =>
      delays[Math.min(delays.length - 1, Math.floor(rank * delays.length))] ?? null
    const report: UdpReport = {
      ...log.report(),
      received: seen.size,
      duplicates,
      late,
      delayMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
    }
    print(report)
    process.exit()
  })
}

function udpSource(address: string, port: number, seconds: number, mbit: number): void {
  const socket = createSocket('udp4')
  const interval = (DATAGRAM_BYTES * 8) / (mbit * 1000)
  const start = now()
  let sent = 0
  socket.connect(port, address, () => {
    const timer = setInterval(() => {
      const elapsed = now() - start
      for (; sent * interval < elapsed; sent++) {
        const datagram = Buffer.alloc(DATAGRAM_BYTES)
        datagram.writeUInt32BE(sent, 0)
        datagram.writeDoubleBE(now(), 4)
        // What the local stack refuses counts as sent, and so as lost.
        socket.send(datagram, () => undefined)
      }
      if (elapsed < seconds * 1000) return
      clearInterval(timer)
      print({ start, sent })
      socket.close()
    }, 1)
  })
}

function echo(port: number): void {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  server.listen(port, '0.0.0.0', ready)
  process.on('SIGTERM', () => {
    process.exit()
  })
}

function rpc(address: string, port: number, seconds: number): void {
  const times: number[] = []
  const socket: Socket = connect({ port, host: address, noDelay: true })
  let pending = 0
  let sentAt = 0
  let finish = Infinity
  const ask = (): void => {
    if (now() > finish) {
      const report: RpcReport = { times }
      print(report)
      socket.destroy()
      return
    }
    pending = MESSAGE_BYTES
    sentAt = now()
    socket.write(CHUNK.subarray(0, MESSAGE_BYTES))
  }
  socket.on('data', (chunk) => {
    pending -= chunk.length
    if (pending > 0) return
    times.push(now() - sentAt)
    setTimeout(ask, RPC_INTERVAL_MS)
  })
  socket.on('connect', () => {
    finish = now() + seconds * 1000
    ask()
  })
}

const [role, first, second, third, fourth] = process.argv.slice(2)
if (role === 'sink') sink(Number(first))
else if (role === 'source') source(String(first), Number(second), Number(third))
else if (role === 'udp-sink') udpSink(Number(first))
else if (role === 'udp-source')
  udpSource(String(first), Number(second), Number(third), Number(fourth))
else if (role === 'echo') echo(Number(first))
else if (role === 'rpc') rpc(String(first), Number(second), Number(third))
else throw new Error(`no role ${String(role)}`)
