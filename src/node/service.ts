/**
 * What a service manager is told: sd_notify(3), one datagram to the socket that NOTIFY_SOCKET names.
 * Without that variable nobody asked, and nothing is loaded for it.
 */
import { messageOf } from '../errors.js'
import type { Log } from './log.js'

/** `READY` when the tunnel is up, `STOPPING` when it goes down. A manager that is gone stops nothing. */
export async function tellServiceManager(
  state: 'READY' | 'STOPPING',
  log: Log,
  address = process.env['NOTIFY_SOCKET'] ?? '',
): Promise<void> {
  if (address === '') return
  try {
    const { sendUnixDatagram } = await import('../libc.js')
    sendUnixDatagram(address, `${state}=1`)
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'the service manager was not told')
  }
}
