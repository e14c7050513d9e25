/**
 * Waiting for a freshly started agent: bounded polls that give up early when the agent has died.
 */
import { access } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

import { WhalescaleError } from '#src/errors.js'
import type { LabProcess, Namespace } from '#src/cli/demo/lab.js'

const POLL_MS = 20
const DEADLINE_MS = 15_000

/** Polls until `ready` holds. Throws `WhalescaleError` (command-failed, timeout) naming what was awaited. */
export async function settle(
  what: string,
  agents: readonly LabProcess[],
  ready: () => Promise<boolean>,
): Promise<void> {
  const ended = { value: false }
  for (const agent of agents)
    void agent.exited.then(() => {
      ended.value = true
    })
  const deadline = performance.now() + DEADLINE_MS
  while (!(await ready())) {
    const said =
      agents
        .map((agent) => (agent.output().stderr || agent.output().stdout).trim().split('\n').at(-1))
        .find(Boolean) ?? 'no message'
    if (ended.value)
      throw new WhalescaleError(`the agent ended before ${what}: ${said}`, {
        code: 'CommandFailed',
      })
    if (performance.now() > deadline)
      throw new WhalescaleError(`${what}: not within ${String(DEADLINE_MS / 1000)} s: ${said}`, {
        code: 'Timeout',
      })
    await delay(POLL_MS)
  }
}

export async function fileExists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

export async function linkExists(namespace: Namespace, device: string): Promise<boolean> {
  const { stdout } = await namespace.exec('ip', ['-json', 'link', 'show'])
  return (JSON.parse(stdout) as { ifname?: unknown }[]).some((link) => link.ifname === device)
}

/** One echo request, answered within a second. */
export async function answersPing(from: Namespace, address: string): Promise<boolean> {
  try {
    await from.exec('ping', ['-n', '-c', '1', '-W', '1', address])
    return true
  } catch (error) {
    if (error instanceof WhalescaleError && error.code === 'CommandFailed') return false
    throw error
  }
}
