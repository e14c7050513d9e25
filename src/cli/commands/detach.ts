/** `whalescale up --detach`: starts the agent in the background and returns when its tunnel is up. */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from '../../api/client.js'
import { parseConfig, readConfigText } from '../../config/load.js'
import { ExitCode, WhalescaleError } from '../../errors.js'
import { print } from '../target.js'

const pollMs = 20
/** A start takes a fraction of a second; a machine that swaps may need longer. */
const patienceMs = 30_000

async function isUp(client: Client, pid: number | undefined): Promise<boolean> {
  try {
    return (await client.status()).pid === pid
  } catch (error) {
    if (error instanceof WhalescaleError && error.exitCode === ExitCode.notRunning) return false
    throw error
  }
}

/** The background process writes its log to `agent.log` in the state directory. */
export async function detach(file: string): Promise<ExitCode> {
  const { config } = parseConfig(readConfigText(file), file)
  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 })
  const logFile = join(config.stateDir, 'agent.log')
  const log = openSync(logFile, 'a', 0o600)
  const before = statSync(logFile).size
  const [script = ''] = process.argv.slice(1)
  const child = spawn(process.execPath, [...process.execArgv, script, 'up', file], {
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  let ended: number | null | undefined
  child.once('exit', (code) => {
    ended = code
  })
  const client = new Client(config.controlSocket)
  const deadline = performance.now() + patienceMs
  while (!(await isUp(client, child.pid))) {
    if (ended !== undefined) {
      process.stderr.write(readFileSync(logFile).subarray(before))
      return exitCodeOf(ended)
    }
    if (performance.now() > deadline) {
      child.kill()
      throw new WhalescaleError('the agent did not come up', {
        code: 'StartTimeout',
        remedy: `read ${logFile}`,
      })
    }
    await delay(pollMs)
  }
  child.unref()
  print(`the tunnel is up: process ${child.pid ?? 0}, log in ${logFile}`)
  return ExitCode.ok
}

function exitCodeOf(code: number | null): ExitCode {
  return Object.values(ExitCode).find((known) => known === code && known !== 0) ?? ExitCode.failure
}
