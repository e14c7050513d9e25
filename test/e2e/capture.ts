/** What passes a link, datagram by datagram: tcpdump's output, parsed. */
import { once } from 'node:events'
import type { Namespace } from '#src/cli/demo/lab.js'
import { until } from '../bed/bed.js'

export type Captured = {
  readonly source: string
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
  /** The UDP payload, as much of it as was captured. */
  readonly payload: Buffer
  /** The length that the payload had. */
  readonly length: number
}

export type Capture = {
  /** What has passed so far, in order. */
  datagrams(): Captured[]
  stop(): Promise<Captured[]>
}

/** Enough for every handshake message behind Ethernet, IPv4 and UDP. */
const snapLength = 256
/** pcap-savefile(5): a file header of 24 bytes, then records behind headers of 16. */
const fileHeader = 24
const recordHeader = 16
const ethernet = 14

function datagramOf(frame: Buffer): Captured | undefined {
  if (frame.length < ethernet + 28 || frame.readUInt16BE(12) !== 0x0800) return undefined
  const packet = frame.subarray(ethernet)
  const headerLength = ((packet[0] ?? 0) & 15) * 4
  const later = (packet.readUInt16BE(6) & 0x1fff) !== 0
  if (packet[9] !== 17 || later || packet.length < headerLength + 8) return undefined
  const udp = packet.subarray(headerLength)
  const address = (at: number): string => [...packet.subarray(at, at + 4)].join('.')
  return {
    source: address(12),
    sourcePort: udp.readUInt16BE(0),
    destination: address(16),
    destinationPort: udp.readUInt16BE(2),
    payload: udp.subarray(8),
    length: udp.readUInt16BE(4) - 8,
  }
}

/** Parses what tcpdump wrote so far; an unfinished record at the end is left out. */
function parse(bytes: Buffer): Captured[] {
  const found: Captured[] = []
  for (let at = fileHeader; at + recordHeader <= bytes.length;) {
    const length = bytes.readUInt32LE(at + 8)
    const frame = bytes.subarray(at + recordHeader, at + recordHeader + length)
    if (frame.length < length) break
    const datagram = datagramOf(frame)
    if (datagram !== undefined) found.push(datagram)
    at += recordHeader + length
  }
  return found
}

/** Captures the UDP over IPv4 that passes a device, until stopped. */
export async function capture(
  namespace: Namespace,
  device: string,
  filter = 'udp',
): Promise<Capture> {
  const args = [
    '-i',
    device,
    '-n',
    '-U',
    '--immediate-mode',
    '-s',
    String(snapLength),
    '-w',
    '-',
    filter,
  ]
  const running = namespace.spawn('tcpdump', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks: Buffer[] = []
  // The lab reads text; the records are bytes.
  running.child.stdout?.removeAllListeners('data').setEncoding('latin1')
  running.child.stdout?.on('data', (text: string) => chunks.push(Buffer.from(text, 'latin1')))
  await until('tcpdump listens', () => running.output().stderr.includes('listening on'))
  const datagrams = (): Captured[] => parse(Buffer.concat(chunks))
  return {
    datagrams,
    stop: async () => {
      running.child.kill('SIGINT')
      if (running.child.exitCode === null) await once(running.child, 'close')
      return datagrams()
    },
  }
}
