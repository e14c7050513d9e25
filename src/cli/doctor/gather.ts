/** Reads what `doctor` examines; what may not be read is null, and its check left out. */
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { ExitCode, WhalescaleError, systemCode } from '../../errors.js'
import { readTimestamp } from '../../node/timestamp.js'
import type { StatusView } from '../../node/views.js'
import { clientOf } from '../target.js'
import type { Target } from '../target.js'
import type { Gathered } from './checks.js'

const filters = '/proc/sys/net/ipv4/conf'

/** What `read` gives, or null when the system does not let us. */
function permitted<Value>(read: () => Value): Value | null {
  try {
    return read()
  } catch (error) {
    if (systemCode(error) !== undefined || error instanceof WhalescaleError) return null
    throw error
  }
}

async function statusOf(target: Target): Promise<StatusView | null> {
  try {
    return await (await clientOf(target)).status()
  } catch (error) {
    const absent = error instanceof WhalescaleError && error.exitCode === ExitCode.notRunning
    if (!absent) throw error
    return null
  }
}

function reversePathFilters(): Record<string, number> {
  const names = permitted(() => readdirSync(filters)) ?? []
  return Object.fromEntries(
    names.map((name) => [
      name,
      Number(permitted(() => readFileSync(`${filters}/${name}/rp_filter`, 'utf8')) ?? 0),
    ]),
  )
}

function threadsOf(pid: number): string[] {
  const tasks = `/proc/${pid}/task`
  return readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/status`, 'utf8'))
}

export async function gather(target: Target): Promise<Gathered> {
  const status = await statusOf(target)
  return {
    status,
    now: Date.now(),
    timestamp: status && permitted(() => readTimestamp(status.stateDir)),
    reversePathFilters: reversePathFilters(),
    stateDirectory: status && permitted(() => statSync(status.stateDir)),
    threads: status && permitted(() => threadsOf(status.pid)),
  }
}
