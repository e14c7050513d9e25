/**
 * One end of a TCP connection that carries a pseudo-random stream; prints how much went through and its
 * hash, so that both ends can be compared.
 *
 *     stream receive ADDRESS PORT
 *     stream send ADDRESS PORT BYTES MEGABYTES_PER_SECOND
 */
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export type StreamReport = { readonly bytes: number; readonly sha256: string; readonly ms: number }

const [mode, address = '', port = '', amount = '0', pace = '0'] = process.argv.slice(2)
const chunkLength = 1 << 16

function report(bytes: number, sha256: string, since: number): void {
  const value: StreamReport = { bytes, sha256, ms: Math.round(performance.now() - since) }
  console.log(JSON.stringify(value))
}

async function receive(): Promise<void> {
  const server = createServer().listen(Number(port), address)
  await once(server, 'listening')
  console.log('ready')
  const [socket] = (await once(server, 'connection')) as [Socket]
  server.close()
  const hash = createHash('sha256')
  const since = performance.now()
  let bytes = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bytes += chunk.length
  }
  report(bytes, hash.digest('hex'), since)
}

async function send(): Promise<void> {
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16))
  const zeros = Buffer.alloc(chunkLength)
  const socket = connect(Number(port), address)
  await once(socket, 'connect')
  const hash = createHash('sha256')
  const since = performance.now()
  const total = Number(amount)
  for (let bytes = 0; bytes < total; bytes += chunkLength) {
    const chunk = cipher.update(zeros.subarray(0, Math.min(chunkLength, total - bytes)))
    hash.update(chunk)
    if (!socket.write(chunk)) await once(socket, 'drain')
    const ahead =
      Number(pace) === 0 ? 0 : bytes / (Number(pace) * 1000) - (performance.now() - since)
    if (ahead > 1) await delay(ahead)
  }
  socket.end()
  await once(socket, 'close')
  report(total, hash.digest('hex'), since)
}

await (mode === 'receive' ? receive() : send())
