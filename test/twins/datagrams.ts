/** A Unix datagram socket, which Node has none of, as a service manager listens on one. */
import { closeSync } from 'node:fs'
import koffi from 'koffi'

const AF_UNIX = 1
const SOCK_DGRAM = 2
const MSG_DONTWAIT = 0x40

export type Datagrams = {
  /** The next datagram, or undefined when none has come. */
  next(): string | undefined
  close(): void
}

/** @param address a path, or `@` and the name of an abstract socket */
export function listenForDatagrams(address: string): Datagrams {
  const lib = koffi.load(null)
  const socket = lib.func('int socket(int domain, int type, int protocol)')
  const bind = lib.func('int bind(int fd, const void *address, uint length)')
  const recv = lib.func('long recv(int fd, void *buffer, size_t size, int flags)')
  const fd = Number(socket(AF_UNIX, SOCK_DGRAM, 0))
  const name = Buffer.from(`\0\0${address.replace(/^@/, '\0')}`)
  name.writeUInt16LE(AF_UNIX)
  if (bind(fd, name, name.length) !== 0) throw new Error(`bind ${address}: ${koffi.errno()}`)
  const buffer = Buffer.alloc(4096)
  return {
    next: () => {
      const length = Number(recv(fd, buffer, buffer.length, MSG_DONTWAIT))
      return length < 0 ? undefined : buffer.toString('utf8', 0, length)
    },
    close: () => {
      closeSync(fd)
    },
  }
}
