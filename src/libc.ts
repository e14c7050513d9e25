/**
 * The few calls of the C library which Node has no name for. Linux only; loaded where needed, because
 * it costs some milliseconds.
 */
import { closeSync } from 'node:fs'
import koffi from 'koffi'

const lib = koffi.load(null)

const ioctlCall = lib.func('int ioctl(int fd, ulong request, void *argument)')
const fcntlCall = lib.func('int fcntl(int fd, int command, int argument)')
const prctlCall = lib.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)')
const memfdCall = lib.func('int memfd_create(const char *name, uint flags)')
const execveCall = lib.func('int execve(const char *path, const char **args, const char **env)')

/** A failed call: which one, and the error's name (EBUSY, EPERM, ...). */
class SystemError extends Error {
  readonly code: string
  constructor(call: string, code: string) {
    super(`${call}: ${code}`)
    this.code = code
  }
}

function checked(call: string, result: unknown): number {
  if (typeof result === 'number' && result >= 0) return result
  const number = koffi.errno()
  const name = Object.entries(koffi.os.errno).find(([, value]) => value === number)?.[0]
  throw new SystemError(call, name ?? `errno ${number}`)
}

/** @throws SystemError */
export function ioctl(fd: number, request: number, argument: Buffer): void {
  checked('ioctl', ioctlCall(fd, request, argument))
}

/** Lets a descriptor live on in the program that replaces this one. */
export function keepAcrossExec(fd: number): void {
  const F_SETFD = 2
  checked('fcntl', fcntlCall(fd, F_SETFD, 0))
}

/** @throws SystemError */
export function prctl(option: number, argument: number): number {
  return checked('prctl', prctlCall(option, argument, 0, 0, 0))
}

/** A descriptor of a file in memory, closed when the program is replaced. */
export function memoryFile(name: string): number {
  const MFD_CLOEXEC = 1
  return checked('memfd_create', memfdCall(name, MFD_CLOEXEC))
}

/** Replaces this program; returns only by throwing SystemError. */
export function execve(path: string, args: readonly string[], env: readonly string[]): never {
  checked('execve', execveCall(path, [...args, null], [...env, null]))
  throw new SystemError('execve', 'EINVAL')
}

/** capset(2), version 3: two structures of 32 bits each for the sets effective, permitted, inheritable. */
const _LINUX_CAPABILITY_VERSION_3 = 0x20080522
const capsetCall = lib.func('int capset(void *header, void *data)')

/** Sets the capabilities of the calling thread. @throws SystemError */
export function capset(effective: bigint, permitted: bigint, inheritable: bigint): void {
  const header = Buffer.alloc(8)
  header.writeUInt32LE(_LINUX_CAPABILITY_VERSION_3)
  const data = Buffer.alloc(24)
  for (const [index, set] of [effective, permitted, inheritable].entries()) {
    data.writeUInt32LE(Number(set & 0xffffffffn), index * 4)
    data.writeUInt32LE(Number(set >> 32n), 12 + index * 4)
  }
  checked('capset', capsetCall(header, data))
}

const socketCall = lib.func('int socket(int domain, int type, int protocol)')
const sendtoCall = lib.func(
  'long sendto(int fd, const void *data, size_t size, int flags, const void *address, uint length)',
)

/**
 * Sends one datagram to a Unix socket without waiting for room.
 * @param address a path, or `@` and the name of an abstract socket (unix(7))
 * @throws SystemError
 */
export function sendUnixDatagram(address: string, text: string): void {
  const AF_UNIX = 1
  const SOCK_DGRAM = 2
  const SOCK_CLOEXEC = 0o2000000
  const MSG_DONTWAIT = 0x40
  const MSG_NOSIGNAL = 0x4000
  const path = Buffer.from(address.replace(/^@/, '\0'))
  const sockaddr = Buffer.concat([Buffer.alloc(2), path])
  sockaddr.writeUInt16LE(AF_UNIX)
  const data = Buffer.from(text)
  const fd = checked('socket', socketCall(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  try {
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL
    checked('sendto', sendtoCall(fd, data, data.length, flags, sockaddr, sockaddr.length))
  } finally {
    closeSync(fd)
  }
}
