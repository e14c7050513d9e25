/**
 * Network namespaces and processes in them, for the demo, the end-to-end tests and the bench. All that
 * a lab made goes with it: on `close`, which may be called twice, and when the program ends or is
 * interrupted. Needs root and iproute2.
 */
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess, StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { ExitCode, WhalescaleError, systemCode } from '../../errors.js'
import { largestOutput, run } from './command.js'
import type { CommandOptions, Output } from './command.js'

/** Between asking a process to end and making it. */
const graceMs = 5_000

export type LabProcess = {
  readonly pid: number
  readonly child: ChildProcess
  /** What it has written so far. */
  readonly output: () => Output
  /** Resolves to its exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>
  /** SIGTERM, and SIGKILL if that does not help; resolves when it is gone. */
  stop(): Promise<number | null>
}

export type SpawnOptions = { readonly stdio?: StdioOptions; readonly env?: NodeJS.ProcessEnv }

export type Namespace = {
  /** Its name for `ip netns`. */
  readonly name: string
  /** Runs a command to its end. @throws WhalescaleError with what it wrote when it fails */
  exec(command: string, args: readonly string[], options?: CommandOptions): Promise<Output>
  /** Starts a command that `lab.close` stops if nobody has before. */
  spawn(command: string, args: readonly string[], options?: SpawnOptions): LabProcess
}

export type VethOptions = {
  /** With prefix length, as in `10.0.0.1/24`. */
  readonly addressA: string
  readonly addressB: string
  readonly mtu?: number
}

export type Veth = { readonly interfaceA: string; readonly interfaceB: string }

export type Lab = {
  namespace(name: string): Promise<Namespace>
  /** Joins two namespaces; each end is called after the other side. */
  veth(a: Namespace, b: Namespace, options: VethOptions): Promise<Veth>
  close(): Promise<void>
}

function start(command: string, args: readonly string[], options: SpawnOptions): LabProcess {
  const child = spawn(command, args, {
    stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
    ...(options.env === undefined ? {} : { env: options.env }),
  })
  const written = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    written.stdout = (written.stdout + text).slice(-largestOutput)
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    written.stderr = (written.stderr + text).slice(-largestOutput)
  })
  child.on('error', (error) => {
    written.stderr += `${command}: ${error.message}\n`
  })
  const exited = once(child, 'close').then(
    ([code]: unknown[]) => (typeof code === 'number' ? code : null),
    () => null,
  )
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      // A grandchild may hold the pipes open for ever.
      child.stdout?.destroy()
      child.stderr?.destroy()
    }, graceMs)
    const code = await exited
    clearTimeout(timer)
    return code
  }
  return { pid: child.pid ?? -1, child, output: () => ({ ...written }), exited, stop }
}

function requireRoot(): void {
  if (process.geteuid?.() === 0) return
  throw new WhalescaleError('network namespaces need root', {
    code: 'NoPermission',
    remedy: 'run it with sudo',
    exitCode: ExitCode.permission,
  })
}

/** Kills at once whatever still runs in a namespace, children of children too, and deletes it. */
function removeNow(name: string): void {
  const inside = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
  for (const pid of inside.split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch (error) {
      // It was quicker than we.
      if (systemCode(error) !== 'ESRCH') throw error
    }
  }
  execFileSync('ip', ['netns', 'delete', name], { stdio: 'ignore' })
}

const endings = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const

/** @throws WhalescaleError NoPermission without root */
export function createLab(): Promise<Lab> {
  requireRoot()
  const names = new Set<string>()
  const processes = new Set<LabProcess>()

  const onExit = (): void => {
    for (const name of names) {
      names.delete(name)
      removeNow(name)
    }
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    // The exit runs `onExit`. The code is the shell's: 128 and the number of the signal.
    process.exit(128 + constants.signals[signal])
  }
  process.on('exit', onExit)
  for (const signal of endings) process.on(signal, onSignal)

  const close = async (): Promise<void> => {
    await Promise.all([...processes].map((running) => running.stop()))
    processes.clear()
    onExit()
    process.off('exit', onExit)
    for (const signal of endings) process.off(signal, onSignal)
  }

  const spawnIn =
    (prefix: readonly string[]): Namespace['spawn'] =>
    (command, args, options = {}) => {
      const running = start('ip', [...prefix, command, ...args], options)
      processes.add(running)
      void running.exited.then(() => processes.delete(running))
      return running
    }

  const namespace = async (short: string): Promise<Namespace> => {
    const name = `ws-${process.pid}-${short}`
    await run('ip', ['netns', 'add', name])
    names.add(name)
    const prefix = ['netns', 'exec', name]
    const exec: Namespace['exec'] = (command, args, options) =>
      run('ip', [...prefix, command, ...args], options)
    await exec('ip', ['link', 'set', 'lo', 'up'])
    return { name, exec, spawn: spawnIn(prefix) }
  }

  return Promise.resolve({ namespace, veth, close })
}

/** What follows the process id in the name of a namespace. */
const shortName = ({ name }: Namespace): string => name.split('-').slice(2).join('-')

async function veth(a: Namespace, b: Namespace, options: VethOptions): Promise<Veth> {
  const interfaceA = `to-${shortName(b)}`.slice(0, 15)
  const interfaceB = `to-${shortName(a)}`.slice(0, 15)
  const peer = ['peer', 'name', interfaceB, 'netns', b.name]
  await a.exec('ip', ['link', 'add', interfaceA, 'type', 'veth', ...peer])
  const ends = [
    { namespace: a, device: interfaceA, address: options.addressA },
    { namespace: b, device: interfaceB, address: options.addressB },
  ]
  for (const { namespace, device, address } of ends) {
    const family = address.includes(':') ? ['nodad'] : []
    await namespace.exec('ip', ['address', 'add', address, 'dev', device, ...family])
    const mtu = options.mtu === undefined ? [] : ['mtu', String(options.mtu)]
    await namespace.exec('ip', ['link', 'set', device, ...mtu, 'up'])
  }
  return { interfaceA, interfaceB }
}
