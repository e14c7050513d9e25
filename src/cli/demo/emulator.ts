/**
 * The emulated links between two namespaces, for the demo and the bench: one process of
 * `whalescale-netem`, one TUN device per link and end. Invariants: link i is the device `link<i>` at
 * both ends; the devices are gone when `stop` has returned; equal seeds lose equal packets.
 */
import { createInterface } from 'node:readline'
import { join } from 'node:path'

import { WhalescaleError } from '../../errors.js'
import { run } from './command.js'
import type { Namespace } from './lab.js'
import { projectRoot } from './project.js'

export interface Link {
  /** Mbit/s, both directions. */
  readonly rate: number
  /** One way, milliseconds. */
  readonly delay: number
  /** Milliseconds at `rate`. */
  readonly queue: number
  /** Further settings of `whalescale-netem`, such as `loss: '1%'`, `jitter: '5ms'`. */
  readonly settings?: Readonly<Record<string, string>>
  /** How it varies: changes such as `4s rate 10mbit`, repeated with a period such as `10s`. */
  readonly course?: { readonly changes: readonly string[]; readonly period: string }
}

export interface Emulator {
  /** A live change, such as `link0 blackhole on`; resolves once it holds. */
  command(line: string): Promise<void>
  stop(): Promise<void>
}

export const device = (index: number): string => `link${index}`
export const linkAddress = (end: 'near' | 'far', index: number): string =>
  `10.210.${index}.${end === 'near' ? 1 : 2}`

const BUILD_TIMEOUT_MS = 10 * 60_000
const ANSWER_TIMEOUT_MS = 5_000

const manifest = (): string => join(projectRoot(), 'native', 'Cargo.toml')

/** Cargo does nothing when it is built already. */
export async function buildEmulator(): Promise<void> {
  const args = ['build', '--release', '-p', 'whalescale-netem', '--manifest-path', manifest()]
  await run('cargo', args, { timeoutMs: BUILD_TIMEOUT_MS })
}

/** Throws `WhalescaleError` (EmulatorFailed) with what it said when it does not start. */
export async function startEmulator(
  a: Namespace,
  b: Namespace,
  links: readonly Link[],
  seed: number,
): Promise<Emulator> {
  const program = join(projectRoot(), 'native', 'target', 'release', 'whalescale-netem')
  const args = ['--seed', String(seed), ...links.flatMap((link, i) => linkArguments(a, b, link, i))]
  const running = a.spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const { stdin, stdout } = running.child
  if (stdin === null || stdout === null) throw new Error('the emulator was spawned with pipes')
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
  // It may end first: then the answer is missing, which `expect` tells.
  stdin.on('error', () => undefined)

  const expect = async (wanted: string): Promise<void> => {
    const timer = setTimeout(() => running.child.kill('SIGKILL'), ANSWER_TIMEOUT_MS)
    const answer = await lines.next()
    clearTimeout(timer)
    if (answer.value === wanted) return
    const said = running.output().stderr.trim() || String(answer.value ?? 'no answer')
    await running.stop()
    throw new WhalescaleError(`the link emulator: ${said}`, { code: 'EmulatorFailed' })
  }

  await expect('ready')
  return {
    async command(line) {
      stdin.write(`${line}\n`)
      await expect('ok')
    },
    async stop() {
      await running.stop()
    },
  }
}

function linkArguments(a: Namespace, b: Namespace, link: Link, index: number): string[] {
  const { course } = link
  const settings = {
    rate: `${link.rate}mbit`,
    delay: `${link.delay}ms`,
    queue: `${link.queue}ms`,
    ...link.settings,
  }
  return [
    '--link',
    ...['--a', `${a.name}:${device(index)}`, '--a-addr', `${linkAddress('near', index)}/24`],
    ...['--b', `${b.name}:${device(index)}`, '--b-addr', `${linkAddress('far', index)}/24`],
    ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ...(course?.changes ?? []).flatMap((change) => ['--at', change]),
    ...(course === undefined ? [] : ['--repeat', course.period]),
  ]
}
