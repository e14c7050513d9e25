/**
 * A process of its own inside a namespace: `echo` answers datagrams, `probe` sends one every 2 ms until the first
 * answer and prints the monotonic time of that answer in nanoseconds. It runs before the agent does, so that none of
 * its own start-up is measured; that there is no route yet is expected.
 */
import { createSocket } from 'node:dgram'

const INTERVAL_MS = 2
const DEADLINE_MS = 20_000

function echo(port: number): void {
  const socket = createSocket('udp4')
  socket.on('message', (message, from) => {
    socket.send(message, from.port, from.address)
  })
  socket.bind(port, '0.0.0.0', () => {
    process.stdout.write('ready\n')
  })
}

function probe(address: string, port: number): void {
  const socket = createSocket('udp4')
  const deadline = setTimeout(() => {
    process.exit(1)
  }, DEADLINE_MS)
  socket.on('message', () => {
    process.stdout.write(`answered ${String(process.hrtime.bigint())}\n`)
    clearInterval(timer)
    clearTimeout(deadline)
    socket.close()
  })
  // Errors are answers too ("no route", "port unreachable"): not yet.
  socket.on('error', () => undefined)
  const timer = setInterval(() => {
    socket.send('probe', port, address, () => undefined)
  }, INTERVAL_MS)
  socket.bind(0, '0.0.0.0', () => {
    process.stdout.write('ready\n')
  })
}

const [role, address, port] = process.argv.slice(2)
if (role === 'echo') echo(Number(port))
else probe(String(address), Number(port))
