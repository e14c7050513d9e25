/**
 * CPU time and memory of agents, from /proc.
 * Invariant: an agent is its process and all descendants, with all their threads; an agent that re-executes itself in
 * a child is counted whole.
 */
import { readdir, readFile } from 'node:fs/promises'

import { run } from '#src/cli/demo/command.js'
import { WhalescaleError } from '#src/errors.js'
import type { LabProcess } from '#src/cli/demo/lab.js'

let ticksPerSecond: number | undefined

async function clockTicks(): Promise<number> {
  ticksPerSecond ??= Number((await run('getconf', ['CLK_TCK'])).stdout)
  return ticksPerSecond
}

/** User plus system seconds since start, in clock ticks of 10 ms: for loads of seconds. */
export async function cpuSeconds(agents: readonly LabProcess[]): Promise<number> {
  const perSecond = await clockTicks()
  let ticks = 0
  for (const agent of agents) {
    for (const pid of await family(agent.pid)) ticks += await processTicks(pid)
  }
  return ticks / perSecond
}

/**
 * Seconds on a CPU by the scheduler's own count, in nanoseconds: fine enough for an agent that hardly runs.
 * Threads that end meanwhile are lost, which an idle agent has none of.
 */
export async function scheduledSeconds(agent: LabProcess): Promise<number> {
  let nanoseconds = 0
  for (const pid of await family(agent.pid)) {
    for (const thread of await readdir(`/proc/${String(pid)}/task`)) {
      const text = await readFile(`/proc/${String(pid)}/task/${thread}/schedstat`, 'utf8')
      nanoseconds += Number(text.split(' ')[0])
    }
  }
  return nanoseconds / 1e9
}

/** Peak resident megabytes (10^6 bytes) of one agent so far (VmHWM). */
export async function peakMegabytes(agent: LabProcess): Promise<number> {
  let kibibytes = 0
  for (const pid of await family(agent.pid)) {
    const status = await readFile(`/proc/${String(pid)}/status`, 'utf8')
    kibibytes += Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0)
  }
  return (kibibytes * 1024) / 1e6
}

/** proc(5): the command name may hold spaces and parentheses, so fields count from the last `)`. */
async function processTicks(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  if (!Number.isFinite(ticks))
    throw new WhalescaleError(`/proc/${String(pid)}/stat has no utime and stime`, {
      code: 'UnexpectedOutput',
    })
  return ticks
}

async function family(pid: number): Promise<number[]> {
  const members = [pid]
  for (const thread of await readdir(`/proc/${String(pid)}/task`)) {
    const children = await readFile(`/proc/${String(pid)}/task/${thread}/children`, 'utf8')
    for (const child of children.split(' ').filter(Boolean))
      members.push(...(await family(Number(child))))
  }
  return members
}
