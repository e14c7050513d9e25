/**
 * What `up` does while it still has all its rights: reads the configuration, opens the secrets and the
 * TUN device, and makes sure that it may run at all.
 */
import { statSync } from 'node:fs'
import { claimSocket } from '../api/socket.js'
import { atKey } from '../config/error.js'
import { openSecrets, parseConfig, readConfigText } from '../config/load.js'
import { ExitCode, WhalescaleError } from '../errors.js'
import { holdsTooMuch, neededCapabilities } from '../node/privileges.js'
import { makeStateDirectory, readTimestamp } from '../node/timestamp.js'
import { tunOpener } from '../tun/tun.js'
import type { Tun } from '../tun/tun.js'
import type { Prepared } from './handover.js'

/** @throws WhalescaleError when anything stands in the way; nothing has changed then */
export async function prepare(file: string): Promise<Prepared> {
  const { config, toml } = parseConfig(readConfigText(file), file)
  const lines = {
    interface: toml.lineOf(['node', 'interface']),
    listenPort: toml.lineOf(['node', 'listen_port']),
  }
  const secrets = openSecrets(config, toml, 'all')
  const openTun = await tunOpener(process.platform)
  const privileged = holdsTooMuch(neededCapabilities(config.listenPort))
  await claimSocket(config.controlSocket)
  let tun: Tun
  try {
    tun = openTun(config.interface)
  } catch (error) {
    if (!(error instanceof WhalescaleError) || error.code !== 'TunBusy') throw error
    throw atKey(error, { file, line: lines.interface, key: 'node.interface' })
  }
  makeStateDirectory(config.stateDir)
  requireOwner(config.stateDir, 'state_dir')
  const keyFd = secrets.get(config.privateKeyFile) ?? -1
  const presharedKeys = new Map([...secrets].filter(([, fd]) => fd !== keyFd))
  const timestampFloor = readTimestamp(config.stateDir)
  return { config, lines, resources: { tun, keyFd, presharedKeys, timestampFloor }, privileged }
}

/** Without root's right to pass over modes, only directories of one's own can be written. */
function requireOwner(directory: string, key: string): void {
  const uid = process.geteuid?.()
  if (uid === undefined || statSync(directory).uid === uid) return
  throw new WhalescaleError(`${directory} belongs to another user`, {
    code: 'StateUnusable',
    remedy: `give it to the user who runs the agent (chown), or set another ${key}`,
    exitCode: ExitCode.permission,
  })
}
