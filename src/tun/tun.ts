/**
 * Opening the TUN device: one file per operating system, chosen here and nowhere else. Addresses, MTU
 * and routes are not set here: they are commands to the addon.
 */
import { WhalescaleError } from '../errors.js'
import type { Tun } from './device.js'

export type { Tun } from './device.js'

/** @throws WhalescaleError when the device cannot be had */
export type OpenTun = (name: string) => Tun

/** The opener for an operating system, as `process.platform` names it. */
export async function tunOpener(platform: string): Promise<OpenTun> {
  switch (platform) {
    case 'linux':
      return (await import('./linux.js')).openTun
    case 'darwin':
      return (await import('./darwin.js')).openTun
    case 'win32':
      return (await import('./windows.js')).openTun
    default:
      throw new WhalescaleError(`${platform} is not supported`, { code: 'UnsupportedPlatform' })
  }
}
