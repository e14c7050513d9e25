/**
 * The bed of one end-to-end test: namespaces, links and a directory of its own, all gone when the test
 * ends, however it ends. Tests of one file may run side by side: names do not collide.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { createLab } from '#src/cli/demo/lab.js'
import type { Lab, LabProcess, Namespace, SpawnOptions } from '#src/cli/demo/lab.js'

/** The program, as users start it. */
export const entry = fileURLToPath(new URL('../../../../dist/cli/main.js', import.meta.url))

export type Finished = {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export type Bed = {
  readonly lab: Lab
  /** Removed at the end; mode 0700. */
  readonly directory: string
  /** A namespace whose name begins with a role, such as `a`. */
  namespace(role: string): Promise<Namespace>
  /** Two namespaces, `192.0.2.1` and `192.0.2.2`, joined by a veth pair. */
  pair(mtu?: number): Promise<Pair>
}

export type Pair = {
  readonly a: Namespace
  readonly b: Namespace
  readonly linkA: string
  readonly linkB: string
}

export const addressA = '192.0.2.1'
export const addressB = '192.0.2.2'

let made = 0

/** Makes the bed of `t`, which also takes it down. */
export async function makeBed(t: Pick<Test, 'teardown'>): Promise<Bed> {
  const lab = await createLab()
  const directory = mkdtempSync(join(tmpdir(), 'whalescale-e2e-'))
  const namespaces: Namespace[] = []
  t.teardown(async () => {
    for (const namespace of namespaces) await endProcesses(namespace)
    await lab.close()
    rmSync(directory, { recursive: true, force: true })
  })
  const namespace: Bed['namespace'] = async (role) => {
    made += 1
    const fresh = plain(await lab.namespace(`${role}${made}`))
    namespaces.push(fresh)
    return fresh
  }
  const pair: Bed['pair'] = async (mtu) => {
    const [a, b] = [await namespace('a'), await namespace('b')]
    const { interfaceA, interfaceB } = await lab.veth(a, b, {
      addressA: `${addressA}/24`,
      addressB: `${addressB}/24`,
      ...(mtu === undefined ? {} : { mtu }),
    })
    return { a, b, linkA: interfaceA, linkB: interfaceB }
  }
  return { lab, directory, namespace, pair }
}

/** Processes start as users start them: without the instruments that tap loads into every Node. */
function plain(namespace: Namespace): Namespace {
  return {
    ...namespace,
    spawn: (command, args, options) =>
      namespace.spawn('env', ['-u', 'NODE_OPTIONS', command, ...args], options),
  }
}

/** Ends what a test detached into a namespace, which nobody else can be in. */
async function endProcesses(namespace: Namespace): Promise<void> {
  const { stdout } = await namespace.exec('ip', ['netns', 'pids', namespace.name])
  for (const pid of stdout.split('\n').filter((line) => line !== '')) {
    try {
      process.kill(Number(pid), 'SIGTERM')
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }
}

/** Waits for a process and returns all that it left. */
export async function finished(running: LabProcess): Promise<Finished> {
  const code = await running.exited
  return { code, ...running.output() }
}

/** Runs a `whalescale` command to its end. */
export function whalescale(
  namespace: Namespace,
  args: readonly string[],
  options?: SpawnOptions,
): Promise<Finished> {
  return finished(namespace.spawn(process.execPath, [entry, ...args], options))
}

/** Asks again until `condition` gives something; fails with `what` when it has not for too long. */
export async function until<Value>(
  what: string,
  condition: () => Promise<Value | undefined | false> | Value | undefined | false,
  patienceMs = 60_000,
): Promise<Value> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const value = await condition()
    if (value !== undefined && value !== false) return value
    if (performance.now() > deadline) throw new Error(`not within ${patienceMs} ms: ${what}`)
    await delay(20)
  }
}
