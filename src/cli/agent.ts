/** An agent made from what was prepared, for `up` and for programs that run one themselves. */
import type { Reload } from '../api/server.js'
import { atKey } from '../config/error.js'
import { WhalescaleError, messageOf } from '../errors.js'
import type { Native } from '../native.js'
import { Agent } from '../node/agent.js'
import type { Log } from '../node/log.js'
import type { Lookup } from '../node/resolver.js'
import { writeTimestamp } from '../node/timestamp.js'
import type { Prepared } from './handover.js'

const lookup: Lookup = async (host) => {
  const { lookup: resolve } = await import('node:dns/promises')
  return (await resolve(host, { all: true })).map(({ address }) => address)
}

/** @throws WhalescaleError when the addon refuses; nothing is open then */
export function startAgent(
  { config, lines, resources }: Prepared,
  native: Native,
  log: Log,
): Agent {
  try {
    return new Agent(config, resources, {
      native,
      log,
      lookup,
      storeTimestamp: (value) => {
        writeTimestamp(config.stateDir, value)
      },
      now: () => performance.now(),
    })
  } catch (error) {
    closeQuietly(native, log)
    if (!(error instanceof WhalescaleError) || error.code !== 'EADDRINUSE') throw error
    const what = new WhalescaleError(`UDP port ${config.listenPort} is in use`, {
      code: 'PortBusy',
      remedy: 'stop the program that uses it, or set another port (0 for any)',
    })
    throw atKey(what, { file: config.file, line: lines.listenPort, key: 'node.listen_port' })
  }
}

function closeQuietly(native: Native, log: Log): void {
  try {
    native.close()
  } catch (error) {
    log.debug({ reason: messageOf(error) }, 'nothing was open')
  }
}

/** What brings the agent to the text of a changed configuration. */
export function reloadOf(agent: Agent): Reload {
  return async (content, file) => {
    const { openSecrets, parseConfig } = await import('../config/load.js')
    const { config, toml } = parseConfig(content, file)
    agent.reload(config, openSecrets(config, toml, 'preshared'))
  }
}
