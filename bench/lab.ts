/**
 * Network namespaces for one run: made here, entered by the programs under test, removed at the end.
 * Invariants: every namespace is named `ws-<pid>-…`, so runs never meet and nothing of the host's is touched;
 * `close` is idempotent and also runs on exit, SIGINT, SIGTERM and SIGHUP.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'

import { run, type CommandOptions, type CommandResult } from './command.js'
import { BenchFailure } from './failure.js'

interface VethOptions {
  /** Addresses with prefix length, such as `10.0.0.1/24`. */
  readonly addressA: string
  readonly addressB: string
  readonly mtu: number
}

export interface LabProcess {
  readonly pid: number
  /** What it wrote to standard output so far. */
  output(): string
  /** The last of what it wrote to standard error: for messages. */
  errors(): string
  /** Resolves with the exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>
  /** SIGTERM, and SIGKILL after 3 s. Resolves when it is gone; harmless when it already is. */
  stop(): Promise<void>
}

export interface Namespace {
  readonly name: string
  exec(command: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>
  spawn(
    command: string,
    args: readonly string[],
    options?: { env?: Readonly<Record<string, string>> },
  ): LabProcess
}

export interface Lab {
  namespace(name: string): Promise<Namespace>
  veth(a: Namespace, b: Namespace, options: VethOptions): Promise<void>
  close(): Promise<void>
}

const STOP_GRACE_MS = 3_000
/** Enough for any result the load generators print; older output is dropped first. */
const MAX_KEPT_OUTPUT = 1024 * 1024

export function createLab(): Lab {
  const made: string[] = []
  let veths = 0
  let closed = false

  const closeNow = (): void => {
    if (closed) return
    closed = true
    process.off('exit', closeNow)
    for (const signal of SIGNALS) process.off(signal, onSignal)
    for (const name of made) removeNamespace(name)
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    closeNow()
    process.kill(process.pid, signal)
  }
  process.on('exit', closeNow)
  for (const signal of SIGNALS) process.on(signal, onSignal)

  return {
    async namespace(label) {
      const name = `ws-${String(process.pid)}-${label}`
      await run('ip', ['netns', 'add', name])
      made.push(name)
      const namespace = enter(name)
      await namespace.exec('ip', ['link', 'set', 'lo', 'up'])
      return namespace
    },
    async veth(a, b, options) {
      const device = `veth${String(veths++)}`
      const mtu = String(options.mtu)
      await a.exec('ip', [
        'link',
        'add',
        device,
        'mtu',
        mtu,
        'type',
        'veth',
        'peer',
        'name',
        device,
        'mtu',
        mtu,
        'netns',
        b.name,
      ])
      await a.exec('ip', ['address', 'add', options.addressA, 'dev', device])
      await b.exec('ip', ['address', 'add', options.addressB, 'dev', device])
      for (const end of [a, b]) await end.exec('ip', ['link', 'set', device, 'up'])
    },
    close() {
      closeNow()
      return Promise.resolve()
    },
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

function enter(name: string): Namespace {
  const inside = (command: string, args: readonly string[]): string[] => [
    'netns',
    'exec',
    name,
    command,
    ...args,
  ]
  return {
    name,
    exec: (command, args, options) => run('ip', inside(command, args), options),
    spawn(command, args, options = {}) {
      // `ip netns exec` replaces itself with the command, so the child's pid is the command's.
      const child = spawn('ip', inside(command, args), {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...options.env },
      })
      return supervise(child, command)
    },
  }
}

function supervise(child: ChildProcess, command: string): LabProcess {
  if (child.pid === undefined)
    throw new BenchFailure('missing-tool', `${command} could not be started`)
  const output = keep(child.stdout)
  const errors = keep(child.stderr)
  const exited = new Promise<number | null>((resolve) => {
    child.once('error', () => {
      resolve(null)
    })
    child.once('close', (code) => {
      resolve(code)
    })
  })
  return {
    pid: child.pid,
    output,
    errors,
    exited,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      const force = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS)
      await exited
      clearTimeout(force)
    },
  }
}

function keep(stream: NodeJS.ReadableStream | null): () => string {
  let text = ''
  stream?.setEncoding('utf8')
  stream?.on('data', (chunk: string) => {
    text = (text + chunk).slice(-MAX_KEPT_OUTPUT)
  })
  return () => text
}

/** Synchronous, because it must also work while the process exits. */
function removeNamespace(name: string): void {
  for (const pid of tryIp(['netns', 'pids', name]).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  tryIp(['netns', 'delete', name])
}

/** What is already gone needs no removal, so a refusal counts as done. */
function tryIp(args: readonly string[]): string {
  try {
    return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}
