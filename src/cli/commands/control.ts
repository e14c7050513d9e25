/** `whalescale down` and `reload`: orders to a running agent. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from '../../api/client.js'
import { ExitCode, WhalescaleError } from '../../errors.js'
import { schemaVersion } from '../../node/views.js'
import { clientOf, print, printJson, socketOf } from '../target.js'
import type { Target } from '../target.js'

const pollMs = 20
/** Closing a tunnel takes milliseconds; a machine that swaps may need seconds. */
const patienceMs = 10_000

function report({ json }: Target, text: string): void {
  if (json) printJson({ schema: schemaVersion })
  else print(text)
}

/** Returns when the agent is gone and everything is undone. */
export async function down(target: Target): Promise<ExitCode> {
  const socket = await socketOf(target)
  await new Client(socket).down()
  const deadline = performance.now() + patienceMs
  while (existsSync(socket)) {
    if (performance.now() > deadline) {
      throw new WhalescaleError('the agent does not end', { code: 'StillRunning' })
    }
    await delay(pollMs)
  }
  report(target, 'the tunnel is down')
  return ExitCode.ok
}

/** The file is read here, with the rights of the caller, and its text is sent. */
export async function reload(target: Target & { file: string }): Promise<ExitCode> {
  const { parseConfig, readConfigText } = await import('../../config/load.js')
  const content = readConfigText(target.file)
  const { config } = parseConfig(content, target.file)
  const named = target.socket !== undefined || target.config !== undefined
  const client = named ? await clientOf(target) : new Client(config.controlSocket)
  await client.reload(content, resolve(target.file))
  report(target, `${target.file} is in force`)
  return ExitCode.ok
}
