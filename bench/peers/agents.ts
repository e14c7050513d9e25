/**
 * Two Whalescale agents that know each other, driven as a user drives them: `keygen`, a TOML file, `up`, `status`.
 * Invariant: when `startAgents` throws, no agent is left.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { run } from '#src/cli/demo/command.js'
import type { LabProcess } from '#src/cli/demo/lab.js'
import { WhalescaleError } from '#src/errors.js'
import { projectRoot } from '#src/cli/demo/project.js'
import { INNER, type Pair, type Tunnel } from './peer.js'
import { fileExists, settle } from './settle.js'

const WHALESCALE_PORT = 51821

export interface AgentOptions {
  /** Underlay addresses of each side that the other one is told. */
  readonly endpoints: { readonly a: readonly string[]; readonly b: readonly string[] }
  /** Further lines of the `[node]` table. */
  readonly node: readonly string[]
  /** Further tables of each side. */
  readonly tables?: { readonly a: readonly string[]; readonly b: readonly string[] }
}

export type Agents = Tunnel & {
  /** What A's agent says of its paths. */
  describePaths(): Promise<unknown>
}

interface End {
  readonly side: 'a' | 'b'
  readonly directory: string
  readonly keyFile: string
  readonly nodeId: string
}

function program(): string {
  return join(projectRoot(), 'dist', 'cli', 'main.js')
}

async function cli(args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [program(), ...args], { timeoutMs: 30_000 })
  return stdout
}

/** The version of what is built here. */
export async function whalescaleVersion(): Promise<string> {
  if (!(await fileExists(program()))) {
    throw new WhalescaleError('dist/cli/main.js is not built', {
      code: 'PeerUnavailable',
      remedy: 'run npm run build',
    })
  }
  return (await cli(['--version'])).trim()
}

/**
 * As sudo and systemd start a program. Where the caller has NODE_EXTRA_CA_CERTS, which they do not pass
 * on, Node reads all root certificates at its start: tens of milliseconds that are not the agent's.
 */
const plain: NodeJS.ProcessEnv = { PATH: process.env['PATH'] }

/** Returns when both control sockets are there; a session may still be to come. */
export async function startAgents(pair: Pair, options: AgentOptions): Promise<Agents> {
  const ends = { a: await prepare(pair, 'a'), b: await prepare(pair, 'b') }
  await writeConfig(ends.a, ends.b, options)
  await writeConfig(ends.b, ends.a, options)
  const up = (side: 'a' | 'b'): LabProcess =>
    pair[side].spawn(process.execPath, [program(), 'up', configFile(ends[side])], { env: plain })
  const agents = { a: up('a'), b: up('b') }
  const stop = async (): Promise<void> => {
    await Promise.all([agents.a.stop(), agents.b.stop()])
  }
  try {
    await settle('its control socket', [agents.a, agents.b], async () => {
      const there = await Promise.all([
        fileExists(controlSocket(ends.a)),
        fileExists(controlSocket(ends.b)),
      ])
      return there.every(Boolean)
    })
  } catch (error) {
    await stop()
    throw error
  }
  const ask = async (command: 'status' | 'paths'): Promise<unknown> =>
    JSON.parse(await cli([command, '--json', '--socket', controlSocket(ends.a)])) as unknown
  return {
    get agents() {
      return [agents.a, agents.b]
    },
    stop,
    describe: () => ask('status'),
    describePaths: () => ask('paths'),
    restart: {
      async stopA() {
        await agents.a.stop()
      },
      startA() {
        agents.a = up('a')
      },
    },
  }
}

async function prepare(pair: Pair, side: 'a' | 'b'): Promise<End> {
  const directory = join(pair.directory, side)
  const keyFile = join(directory, 'node.key')
  await mkdir(directory, { mode: 0o700 })
  await cli(['keygen', '--out', keyFile])
  await chmod(keyFile, 0o600)
  const { nodeId } = JSON.parse(await cli(['id', keyFile, '--json'])) as { nodeId?: unknown }
  if (typeof nodeId !== 'string') {
    throw new WhalescaleError('whalescale id --json names no nodeId', { code: 'UnexpectedOutput' })
  }
  return { side, directory, keyFile, nodeId }
}

async function writeConfig(end: End, other: End, options: AgentOptions): Promise<void> {
  const endpoints = options.endpoints[other.side].map((at) => `"${at}:${WHALESCALE_PORT}"`)
  const lines = [
    '[node]',
    `name = "bench-${end.side}"`,
    `private_key_file = "${end.keyFile}"`,
    `addresses = ["${INNER[end.side]}/${INNER.prefix}"]`,
    'interface = "whale0"',
    `listen_port = ${WHALESCALE_PORT}`,
    `state_dir = "${join(end.directory, 'state')}"`,
    `control_socket = "${controlSocket(end)}"`,
    ...options.node,
    ...(options.tables?.[end.side] ?? []),
    '[[peer]]',
    `name = "bench-${other.side}"`,
    `node_id = "${other.nodeId}"`,
    `endpoints = [${endpoints.join(', ')}]`,
    `allowed_ips = ["${INNER[other.side]}/32"]`,
  ]
  await writeFile(configFile(end), `${lines.join('\n')}\n`, { mode: 0o600 })
}

function configFile(end: End): string {
  return join(end.directory, 'config.toml')
}

function controlSocket(end: End): string {
  return join(end.directory, 'run', 'control.sock')
}
