/**
 * TUN on Linux (Documentation/networking/tuntap.rst): a layer-3 device without packet information,
 * each packet behind a virtio header so that segmentation offload crosses the device. The device
 * vanishes with its descriptor, so a killed agent leaves none behind.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { ExitCode, WhalescaleError, systemCode } from '../errors.js'
import { ioctl } from '../libc.js'
import type { Tun } from './device.js'

/** linux/if_tun.h */
const TUNSETIFF = 0x400454ca
const IFF_TUN = 0x0001
const IFF_NO_PI = 0x1000
const IFF_VNET_HDR = 0x4000
/** Refuses to attach to a device that exists already. */
const IFF_TUN_EXCL = 0x8000
/** struct ifreq: a name of 16 bytes, then a union of 24 whose first 2 bytes are the flags. */
const sizeOfIfreq = 40
const sizeOfName = 16

const device = '/dev/net/tun'

/**
 * Makes the device `name`.
 * @throws WhalescaleError NoTun, TunBusy or NoPermission
 */
export function openTun(name: string): Tun {
  let fd: number
  try {
    fd = openSync(device, constants.O_RDWR | constants.O_NONBLOCK)
  } catch (error) {
    throw openError(error)
  }
  const request = Buffer.alloc(sizeOfIfreq)
  request.write(name, 0, sizeOfName - 1, 'utf8')
  request.writeUInt16LE(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL, sizeOfName)
  try {
    ioctl(fd, TUNSETIFF, request)
  } catch (error) {
    closeSync(fd)
    throw attachError(name, error)
  }
  const given = request.toString('utf8', 0, request.indexOf(0))
  return { fd, name: given, vnetHeader: true }
}

function openError(error: unknown): WhalescaleError {
  const code = systemCode(error)
  if (code === 'EACCES' || code === 'EPERM') {
    return new WhalescaleError(`${device} may not be opened`, {
      code: 'NoPermission',
      remedy: 'run as root',
      exitCode: ExitCode.permission,
      cause: error,
    })
  }
  return new WhalescaleError(`${device} is missing or unusable (${code ?? 'unknown error'})`, {
    code: 'NoTun',
    remedy: 'load the kernel module with "modprobe tun", or pass the device to this container',
    cause: error,
  })
}

function attachError(name: string, error: unknown): WhalescaleError {
  const code = systemCode(error)
  if (code === 'EBUSY') {
    return new WhalescaleError(`interface ${name} exists already`, {
      code: 'TunBusy',
      remedy: 'set another [node] interface, or stop the program that owns it',
      cause: error,
    })
  }
  if (code === 'EPERM') {
    return new WhalescaleError(`interface ${name} may not be created`, {
      code: 'NoPermission',
      remedy: 'run as root, or with CAP_NET_ADMIN',
      exitCode: ExitCode.permission,
      cause: error,
    })
  }
  return new WhalescaleError(`interface ${name} cannot be created (${code ?? 'unknown error'})`, {
    code: 'TunFailed',
    remedy: 'check the name',
    cause: error,
  })
}
