/**
 * `whalescale up`: prepares, gives up root by re-executing itself, runs the agent in the foreground and
 * undoes everything at the end. Imports are few and late: the first ping should leave soon.
 */
import type { ApiServer, Reload } from '../../api/server.js'
import type { Config } from '../../config/config.js'
import { ExitCode, WhalescaleError, messageOf } from '../../errors.js'
import { loadNative } from '../../native.js'
import type { Agent } from '../../node/agent.js'
import { holdsTooMuch, neededCapabilities, reexecuteWith } from '../../node/privileges.js'
import { tellServiceManager } from '../../node/service.js'
import { reloadOf, startAgent } from '../agent.js'
import { readHandover, writeHandover } from '../handover.js'
import type { Prepared } from '../handover.js'
import { lateLog } from '../log.js'
import type { LateLog } from '../log.js'

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
    void agent.shutdown()
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  process.once('uncaughtException', (error) => {
    log.error({ stack: error.stack }, 'a defect stopped the agent')
    agent.stop(ExitCode.failure)
  })
  let server: ApiServer | undefined
  try {
    const reload = reloadOf(agent)
    server = await serveApi(agent, reload, prepared.config)
    process.on('SIGHUP', () => {
      void reloadFile(prepared.config.file, reload, log)
    })
    const { interface: name } = prepared.config
    log.info({ interface: name, ...agent.identity }, 'the tunnel is up')
    await tellServiceManager('READY', log)
    await log.attach()
    await agent.join()
    const code = await agent.ended
    await tellServiceManager('STOPPING', log)
    log.info({}, 'the tunnel is down')
    return code
  } finally {
    agent.stop(ExitCode.failure)
    await server?.close()
  }
}

async function serveApi(agent: Agent, reload: Reload, config: Config): Promise<ApiServer> {
  const { serve } = await import('../../api/server.js')
  return serve(agent, reload, config.controlSocket)
}

/** What SIGHUP does: the agent itself reads the file that it was started with. */
async function reloadFile(file: string, reload: Reload, log: LateLog): Promise<void> {
  try {
    const { readConfigText } = await import('../../config/load.js')
    await reload(readConfigText(file), file)
  } catch (error) {
    log.error({ reason: messageOf(error) }, 'the configuration is not reloaded')
  }
}
