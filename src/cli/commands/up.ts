/**
 * `whalescale up`: prepares, gives up root by re-executing itself, runs the agent in the foreground and
 * undoes everything at the end. Imports are few and late: the first ping should leave soon.
 */
import type { ApiServer } from '../../api/server.js'
import type { Config } from '../../config/config.js'
import { atKey } from '../../config/error.js'
import { ExitCode, WhalescaleError, messageOf } from '../../errors.js'
import { loadNative } from '../../native.js'
import type { Native } from '../../native.js'
import { Agent } from '../../node/agent.js'
import { holdsTooMuch, neededCapabilities, reexecuteWith } from '../../node/privileges.js'
import type { Lookup } from '../../node/resolver.js'
import { tellServiceManager } from '../../node/service.js'
import { writeTimestamp } from '../../node/timestamp.js'
import { readHandover, writeHandover } from '../handover.js'
import type { Prepared } from '../handover.js'
import { lateLog } from '../log.js'
import type { LateLog } from '../log.js'

const lookup: Lookup = async (host) => {
  const { lookup: resolve } = await import('node:dns/promises')
  return (await resolve(host, { all: true })).map(({ address }) => address)
}

/** @param handover descriptor left by the image that had root, if there was one */
export async function up(file: string, handover?: number): Promise<ExitCode> {
  if (handover !== undefined) {
    const prepared = readHandover(handover)
    requireReduced(prepared.config)
    return run(prepared)
  }
  const { prepare } = await import('../prepare.js')
  const prepared = await prepare(file)
  if (!prepared.privileged) return run(prepared)
  const { fd, inherited } = await writeHandover(prepared)
  const needed = neededCapabilities(prepared.config.listenPort)
  return reexecuteWith(needed, inherited, `--handover=${fd}`)
}

function requireReduced(config: Config): void {
  if (!holdsTooMuch(neededCapabilities(config.listenPort))) return
  throw new WhalescaleError('root was not given up', {
    code: 'PrivilegesKept',
    remedy: 'start "whalescale up" without --handover',
    exitCode: ExitCode.permission,
  })
}

async function run(prepared: Prepared): Promise<ExitCode> {
  const log = lateLog()
  const native = loadNative()
  const agent = startAgent(prepared, native, log)
  const stop = (): void => {
    agent.stop()
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  process.once('uncaughtException', (error) => {
    log.error({ stack: error.stack }, 'a defect stopped the agent')
    agent.stop(ExitCode.failure)
  })
  let server: ApiServer | undefined
  try {
    server = await serveApi(agent, prepared.config)
    const { interface: name } = prepared.config
    log.info({ interface: name, ...agent.identity }, 'the tunnel is up')
    await tellServiceManager('READY', log)
    await log.attach()
    const code = await agent.ended
    await tellServiceManager('STOPPING', log)
    log.info({}, 'the tunnel is down')
    return code
  } finally {
    agent.stop(ExitCode.failure)
    await server?.close()
  }
}

function startAgent({ config, lines, resources }: Prepared, native: Native, log: LateLog): Agent {
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

function closeQuietly(native: Native, log: LateLog): void {
  try {
    native.close()
  } catch (error) {
    log.debug({ reason: messageOf(error) }, 'nothing was open')
  }
}

async function serveApi(agent: Agent, config: Config): Promise<ApiServer> {
  const { serve } = await import('../../api/server.js')
  const reload = async (content: string, file: string): Promise<void> => {
    const { openSecrets, parseConfig } = await import('../../config/load.js')
    const { config: wanted, toml } = parseConfig(content, file)
    agent.reload(wanted, openSecrets(wanted, toml, 'preshared'))
  }
  return serve(agent, reload, config.controlSocket)
}
