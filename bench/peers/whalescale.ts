/**
 * Whalescale itself, driven as a user drives it: `keygen`, a TOML file, `up`, `status`.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { run } from '#src/cli/demo/command.js'
import { WhalescaleError } from '#src/errors.js'
import type { LabProcess } from '#src/cli/demo/lab.js'
import { projectRoot } from '../project.js'
import { INNER, UNDERLAY, type Pair, type Peer, type Tunnel } from './peer.js'
import { fileExists, settle } from './settle.js'

const PORT = 51821

type Aead = 'auto' | 'ring'

interface End {
  readonly side: 'a' | 'b'
  readonly directory: string
  readonly keyFile: string
  readonly nodeId: string
}

function whalescalePeer(name: string, aead: Aead): Peer {
  return { name, install, start: (pair) => start(pair, aead) }
}

function program(): string {
  return join(projectRoot(), 'dist', 'cli', 'main.js')
}

async function cli(args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [program(), ...args])
  return stdout
}

async function install(): Promise<string> {
  if (!(await fileExists(program()))) {
    throw new WhalescaleError('dist/cli/main.js is not built', {
      code: 'PeerUnavailable',
      remedy: 'run npm run build',
    })
  }
  return (await cli(['--version'])).trim()
}

async function start(pair: Pair, aead: Aead): Promise<Tunnel> {
  const ends = { a: await prepare(pair, 'a'), b: await prepare(pair, 'b') }
  await writeConfig(ends.a, ends.b, aead)
  await writeConfig(ends.b, ends.a, aead)
  const up = (side: 'a' | 'b'): LabProcess =>
    pair[side].spawn(process.execPath, [program(), 'up', configFile(ends[side])])
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
  return {
    get agents() {
      return [agents.a, agents.b]
    },
    stop,
    async describe() {
      return JSON.parse(
        await cli(['status', '--json', '--socket', controlSocket(ends.a)]),
      ) as unknown
    },
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
  if (typeof nodeId !== 'string')
    throw new WhalescaleError('whalescale id --json names no nodeId', { code: 'UnexpectedOutput' })
  return { side, directory, keyFile, nodeId }
}

async function writeConfig(end: End, other: End, aead: Aead): Promise<void> {
  const text = `[node]
name = "bench-${end.side}"
private_key_file = "${end.keyFile}"
addresses = ["${INNER[end.side]}/${String(INNER.prefix)}"]
interface = "whale0"
listen_port = ${String(PORT)}
mtu = ${String(INNER.mtu)}
state_dir = "${join(end.directory, 'state')}"
control_socket = "${controlSocket(end)}"
${aead === 'auto' ? '' : `aead = "${aead}"\n`}
[[peer]]
name = "bench-${other.side}"
node_id = "${other.nodeId}"
endpoints = ["${UNDERLAY[other.side]}:${String(PORT)}"]
allowed_ips = ["${INNER[other.side]}/32"]
`
  await writeFile(configFile(end), text, { mode: 0o600 })
}

function configFile(end: End): string {
  return join(end.directory, 'config.toml')
}

function controlSocket(end: End): string {
  return join(end.directory, 'run', 'control.sock')
}

export const whalescale = whalescalePeer('whalescale', 'auto')
export const whalescaleRing = whalescalePeer('whalescale-ring', 'ring')
